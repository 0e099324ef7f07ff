/**
 * CRC-32C (Castagnoli): the hash `crc32c`, which twemproxy does not have, and the checksum of
 * routing tables. The results equal those of the package fast-crc32c, which the data plane may not
 * import. Data plane, and the thread that builds tables.
 */

import { reflectedCrcTable } from './reflected-crc-table.ts'

const TABLE = reflectedCrcTable(0x82f63b78)

/** @returns int32 hash of `[start, end)`. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  let crc = -1
  for (let i = start; i < end; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]) & 0xff]
  return ~crc
}
