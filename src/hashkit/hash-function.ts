/**
 * The one shape of all key hashes. Data plane: called by `routing`, once a key, on the worker's
 * thread.
 */

/**
 * Hash of the bytes `[start, end)` as a signed 32-bit integer; `>>> 0` gives the unsigned one of
 * libmemcached and twemproxy. It is signed because V8 allocates numbers above 2^31 that a call
 * returns which is not inlined: 8 bytes a key, once pools use different hashes. An empty range
 * gives the raw value of the function, which routing never uses: there an empty key hashes to 0.
 */
export type HashFunction = (bytes: Uint8Array, start: number, end: number) => number
