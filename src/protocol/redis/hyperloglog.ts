/**
 * Redis's HyperLogLog values, read as GET gives them, and the count of their union: what PFCOUNT does, for keys of several servers. Data
 * plane. Format and estimator are those of Redis's `hyperloglog.c` (Ertl, arXiv:1702.01284), in the same doubles, so that counts are equal.
 */

const REGISTERS = 16_384
const REGISTER_BITS = 6
const LARGEST_REGISTER = 63
/** Bits of a hash that are not the register's index. */
const HASH_BITS = 50
const ALPHA_INF = 0.7213475204444817
const HEADER_BYTES = 16
const DENSE = 0
const SPARSE = 1

/** What became of a value. */
export const HllCode = { ok: 0, notHll: 1, corrupt: 2 } as const

export class HllUnion {
  private readonly registers: Uint8Array = new Uint8Array(REGISTERS)

  /** Adds a key's value. @param value one char a byte. @returns one of `HllCode`. */
  add(value: string): number {
    const bytes = Buffer.from(value, 'latin1')
    const encoding = bytes[4]
    if (!value.startsWith('HYLL') || bytes.length < HEADER_BYTES || encoding > SPARSE) return HllCode.notHll
    if (encoding === DENSE && bytes.length !== HEADER_BYTES + (REGISTERS * REGISTER_BITS) / 8) return HllCode.notHll
    if (encoding === DENSE) this.addDense(bytes)
    else if (!this.addSparse(bytes)) return HllCode.corrupt
    return HllCode.ok
  }

  private addDense(bytes: Uint8Array): void {
    for (let i = 0; i < REGISTERS; i++) {
      const bit = i * REGISTER_BITS
      const at = HEADER_BYTES + (bit >> 3)
      const pair = bytes[at] | ((at + 1 < bytes.length ? bytes[at + 1] : 0) << 8)
      this.raise(i, (pair >> (bit & 7)) & LARGEST_REGISTER)
    }
  }

  /** Runs: `00llllll` zeros, `01llllll llllllll` more zeros, `1vvvvvll` a value. @returns false when they are not all registers. */
  private addSparse(bytes: Uint8Array): boolean {
    let register = 0
    for (let at = HEADER_BYTES; at < bytes.length; at++) {
      const byte = bytes[at]
      if ((byte & 0x80) !== 0) {
        const end = register + (byte & 3) + 1
        if (end > REGISTERS) return false
        const value = ((byte >> 2) & 31) + 1
        for (; register < end; register++) this.raise(register, value)
      } else if ((byte & 0x40) !== 0) {
        at++
        if (at >= bytes.length) return false
        register += (((byte & 63) << 8) | bytes[at]) + 1
      } else {
        register += byte + 1
      }
    }
    return register === REGISTERS
  }

  private raise(register: number, value: number): void {
    if (value > this.registers[register]) this.registers[register] = value
  }

  /** The estimated number of different elements. */
  count(): number {
    const histogram = new Int32Array(LARGEST_REGISTER + 1)
    for (const value of this.registers) histogram[value]++
    let z = REGISTERS * tau((REGISTERS - histogram[HASH_BITS + 1]) / REGISTERS)
    for (let value = HASH_BITS; value >= 1; value--) z = (z + histogram[value]) * 0.5
    z += REGISTERS * sigma(histogram[0] / REGISTERS)
    return Math.round((ALPHA_INF * REGISTERS * REGISTERS) / z)
  }
}

function sigma(from: number): number {
  if (from === 1) return Number.POSITIVE_INFINITY
  let x = from
  let y = 1
  let z = x
  for (let before = Number.NaN; before !== z; ) {
    x *= x
    before = z
    z += x * y
    y += y
  }
  return z
}

function tau(from: number): number {
  if (from === 0 || from === 1) return 0
  let x = from
  let y = 1
  let z = 1 - x
  for (let before = Number.NaN; before !== z; ) {
    x = Math.sqrt(x)
    before = z
    y *= 0.5
    z -= (1 - x) * (1 - x) * y
  }
  return z / 3
}
