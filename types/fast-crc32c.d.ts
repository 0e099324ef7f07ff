/** The package has no types of its own. */
declare module 'fast-crc32c' {
  const fastCrc32c: {
    /** CRC-32C as uint32. @param initial checksum of the bytes before. */
    calculate(data: Buffer | string, initial?: number): number
  }
  export default fastCrc32c
}
