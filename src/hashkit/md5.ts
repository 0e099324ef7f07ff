/**
 * MD5 (RFC 1321): the hash `md5` and the points of ketama. Written here because keys are short: 17
 * bytes take 0.2 µs here, and 1.0 µs or more through node:crypto, which also allocates
 * (`bench/micro/hashkit/hashkit.bench.ts`), and rejects MD5 in FIPS mode. Data plane.
 */

/**
 * Scratch of this thread, one digest at a time: the block being hashed and the four words of state.
 */
const BLOCK = new Int32Array(16)
const STATE = new Int32Array(4)

const SINES = Int32Array.from({ length: 64 }, (_, step) => Math.floor(Math.abs(Math.sin(step + 1)) * 2 ** 32))
const ROTATIONS = Uint8Array.of(7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21)
/** Which word of the block each of the 64 steps takes. */
const WORD_OF_STEP = Uint8Array.from({ length: 64 }, (_, step) => {
  if (step < 16) return step
  if (step < 32) return (5 * step + 1) & 15
  if (step < 48) return (3 * step + 5) & 15
  return (7 * step) & 15
})

/** First four bytes of the digest, little-endian. @returns int32 hash of `[start, end)`. */
export function md5(bytes: Uint8Array, start: number, end: number): number {
  digest(bytes, start, end)
  return STATE[0]
}

/** The whole digest of `[start, end)`: its four little-endian words go to `words[at .. at + 3]`. */
export function md5Words(bytes: Uint8Array, start: number, end: number, words: Uint32Array, at: number): void {
  digest(bytes, start, end)
  for (let i = 0; i < 4; i++) words[at + i] = STATE[i]
}

function digest(bytes: Uint8Array, start: number, end: number): void {
  STATE[0] = 0x67452301
  STATE[1] = 0xefcdab89
  STATE[2] = 0x98badcfe
  STATE[3] = 0x10325476
  let at = start
  for (; end - at >= 64; at += 64) {
    loadBlock(bytes, at, at + 64)
    addBlock()
  }
  loadBlock(bytes, at, end)
  const left = end - at
  BLOCK[left >> 2] |= 0x80 << ((left & 3) << 3)
  if (left >= 56) {
    addBlock()
    BLOCK.fill(0)
  }
  const length = end - start
  BLOCK[14] = length << 3
  BLOCK[15] = length >>> 29
  addBlock()
}

/** `[start, end)`, at most 64 bytes, as little-endian words, zeros behind. */
function loadBlock(bytes: Uint8Array, start: number, end: number): void {
  BLOCK.fill(0)
  for (let i = start; i < end; i++) BLOCK[(i - start) >> 2] |= bytes[i] << (((i - start) & 3) << 3)
}

/**
 * The 64 steps in one loop: as fast as unrolled code (0.19 µs against 0.17 to 0.19), and readable.
 */
function addBlock(): void {
  let a = STATE[0]
  let b = STATE[1]
  let c = STATE[2]
  let d = STATE[3]
  for (let step = 0; step < 64; step++) {
    let mixed = 0
    if (step < 16) mixed = d ^ (b & (c ^ d))
    else if (step < 32) mixed = c ^ (d & (b ^ c))
    else if (step < 48) mixed = b ^ c ^ d
    else mixed = c ^ (b | ~d)
    const sum = (a + mixed + SINES[step] + BLOCK[WORD_OF_STEP[step]]) | 0
    const rotation = ROTATIONS[((step >> 4) << 2) | (step & 3)]
    a = d
    d = c
    c = b
    b = (b + ((sum << rotation) | (sum >>> (32 - rotation)))) | 0
  }
  STATE[0] += a
  STATE[1] += b
  STATE[2] += c
  STATE[3] += d
}
