/**
 * Words among a request's arguments: compared in place, or taken out as text where a request is
 * rare. Data plane.
 */

/** Whether bytes [start, end) are this word, ASCII letters in any case. @param word upper case. */
export function isWord(buf: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false
  for (let i = 0; i < word.length; i++) {
    const byte = buf[start + i]
    if ((byte >= 97 && byte <= 122 ? byte - 32 : byte) !== word.charCodeAt(i)) return false
  }
  return true
}

/** Bytes [start, end) as text, one char a byte. */
export function latin1(buf: Uint8Array, start: number, end: number): string {
  return Buffer.from(buf.buffer, buf.byteOffset + start, end - start).toString('latin1')
}
