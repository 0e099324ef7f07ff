/** CRC-16/XMODEM as twemproxy's `nc_crc16.c` returns it. Data plane. */

/** Polynomial 0x1021, most significant bit first. */
const TABLE = crc16Table()

/**
 * Not a CRC of 16 bits: the register is never masked, so what was shifted out stays in the high
 * half (the low half is the true CRC).
 * @returns int32 hash of `[start, end)`.
 */
export function crc16(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0
  for (let i = start; i < end; i++) crc = (crc << 8) ^ TABLE[((crc >>> 8) ^ bytes[i]) & 0xff]
  return crc
}

function crc16Table(): Int32Array {
  const table = new Int32Array(256)
  for (let n = 0; n < 256; n++) {
    let crc = n << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) !== 0 ? (crc << 1) ^ 0x1021 : crc << 1
    table[n] = crc & 0xffff
  }
  return table
}
