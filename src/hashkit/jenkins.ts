/**
 * Bob Jenkins's lookup3 (`hashlittle`) with the initial value 13, as in twemproxy's `nc_jenkins.c`.
 * Data plane.
 */

const INITIAL = 0xdeadbeef + 13

/** @returns int32 hash of `[start, end)`. */
export function jenkins(bytes: Uint8Array, start: number, end: number): number {
  let a = (INITIAL + end - start) | 0
  let b = a
  let c = a
  let at = start
  for (; end - at > 12; at += 12) {
    a = (a + wordAt(bytes, at)) | 0
    b = (b + wordAt(bytes, at + 4)) | 0
    c = (c + wordAt(bytes, at + 8)) | 0
    a = (a - c) ^ rotateLeft(c, 4)
    c = (c + b) | 0
    b = (b - a) ^ rotateLeft(a, 6)
    a = (a + c) | 0
    c = (c - b) ^ rotateLeft(b, 8)
    b = (b + a) | 0
    a = (a - c) ^ rotateLeft(c, 16)
    c = (c + b) | 0
    b = (b - a) ^ rotateLeft(a, 19)
    a = (a + c) | 0
    c = (c - b) ^ rotateLeft(b, 4)
    b = (b + a) | 0
  }
  if (at === end) return c
  a = (a + lastWordAt(bytes, at, end)) | 0
  b = (b + lastWordAt(bytes, at + 4, end)) | 0
  c = (c + lastWordAt(bytes, at + 8, end)) | 0
  c = ((c ^ b) - rotateLeft(b, 14)) | 0
  a = ((a ^ c) - rotateLeft(c, 11)) | 0
  b = ((b ^ a) - rotateLeft(a, 25)) | 0
  c = ((c ^ b) - rotateLeft(b, 16)) | 0
  a = ((a ^ c) - rotateLeft(c, 4)) | 0
  b = ((b ^ a) - rotateLeft(a, 14)) | 0
  return ((c ^ b) - rotateLeft(b, 24)) | 0
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

/** Little-endian word at `at`; all four bytes exist. */
function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
}

/** Little-endian word at `at`, with zeros for what lies at or after `end`. */
function lastWordAt(bytes: Uint8Array, at: number, end: number): number {
  if (end - at >= 4) return wordAt(bytes, at)
  let word = 0
  for (let i = end - 1; i >= at; i--) word = (word << 8) | bytes[i]
  return word
}
