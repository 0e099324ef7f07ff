/** The one shape of all key hashes. Data plane: called by `routing`, once a key, on the worker's thread. */

/** Hash of the bytes `[start, end)`, an unsigned 32-bit integer. An empty range gives the raw value of the function; routing never asks. */
export type HashFunction = (bytes: Uint8Array, start: number, end: number) => number
