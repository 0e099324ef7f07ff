/**
 * Where a thread's log text goes: a file opened for appending, or stderr. Each thread opens the
 * file itself and writes each line with one system call, so the lines of several threads never mix.
 * Writes are synchronous: a line is out before the next statement runs, also when that crashes.
 */

import { openSync } from 'node:fs'
import sonicBoom from 'sonic-boom'

const MODE = 0o644
const STDERR = 2
/**
 * Limit on the text that is buffered while the disk is full or a pipe's reader is slow, bytes.
 * Further lines are dropped.
 */
const BACKLOG_BYTES = 65_536

type Destination = InstanceType<typeof sonicBoom.SonicBoom>

export class LogFile {
  readonly path: string
  #destination: Destination

  /**
   * @param path '' for stderr. Throws Node's system error (`code` is the errno name) when the file
   * cannot be opened.
   */
  constructor(path: string) {
    this.path = path
    this.#destination = open(path)
  }

  write(text: string): void {
    this.#destination.write(text)
  }

  /**
   * Opens the path again, after a log rotation. Does nothing for stderr. Throws like the
   * constructor; the old file then stays in use.
   */
  reopen(): void {
    if (this.path === '') return
    const old = this.#destination
    this.#destination = open(this.path)
    old.destroy()
  }

  close(): void {
    if (this.path !== '') this.#destination.destroy()
  }
}

function open(path: string): Destination {
  const fd = path === '' ? STDERR : openSync(path, 'a', MODE)
  // The proxy must not wait for its log: text that a slow reader does not take is buffered, and
  // written with the next line.
  const destination = new sonicBoom.SonicBoom({ fd, sync: true, maxLength: BACKLOG_BYTES, retryEAGAIN: () => false })
  // A log that cannot be written (disk full, reader gone) must not end the proxy, and the error
  // cannot be logged.
  destination.on('error', () => {})
  return destination
}
