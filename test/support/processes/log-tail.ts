/**
 * The end of a log file that grows: what was written since a mark, without reading what was before.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

export class LogTail {
  readonly #path: string
  /** Bytes of the file before the mark. */
  #markedAt = 0

  /** @param path of a file that exists. */
  constructor(path: string) {
    this.#path = path
    this.mark()
  }

  /** Leaves everything behind that was written so far. */
  mark(): void {
    this.#markedAt += this.#read().length
  }

  /** How often `text` was written since the mark. */
  count(text: string): number {
    return this.#read().split(text).length - 1
  }

  /** Text since the mark, one char a byte. */
  #read(): string {
    const fd = openSync(this.#path, 'r')
    try {
      const bytes = Buffer.alloc(fstatSync(fd).size - this.#markedAt)
      const count = readSync(fd, bytes, 0, bytes.length, this.#markedAt)
      return bytes.toString('latin1', 0, count)
    } finally {
      closeSync(fd)
    }
  }
}
