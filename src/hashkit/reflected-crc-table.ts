/**
 * Tables for the CRCs that take the least significant bit first: IEEE (`crc32.ts`) and Castagnoli
 * (`crc32c.ts`). Built at module load.
 */

/** @param polynomial reversed bit order. @returns 256 register updates, as int32. */
export function reflectedCrcTable(polynomial: number): Int32Array {
  const table = new Int32Array(256)
  for (let n = 0; n < 256; n++) {
    let crc = n
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ polynomial : crc >>> 1
    table[n] = crc
  }
  return table
}
