/** The two hashes that twemproxy's `nc_crc32.c` derives from the IEEE CRC-32. Data plane. */

import { reflectedCrcTable } from './reflected-crc-table.ts'

const TABLE = reflectedCrcTable(0xedb88320)

/**
 * `crc32`: only bits 16 to 30, as libmemcached does it. With ketama that puts all keys below 32768,
 * practically on one server.
 * @returns hash of `[start, end)`, 0..32767.
 */
export function crc32(bytes: Uint8Array, start: number, end: number): number {
  return (~register(bytes, start, end) >>> 16) & 0x7fff
}

/** `crc32a`: the standard CRC-32. @returns int32 hash of `[start, end)`. */
export function crc32a(bytes: Uint8Array, start: number, end: number): number {
  return ~register(bytes, start, end)
}

function register(bytes: Uint8Array, start: number, end: number): number {
  let crc = -1
  for (let i = start; i < end; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]) & 0xff]
  return crc
}
