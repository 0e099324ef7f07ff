/**
 * Where a thread's log text goes: a file opened for appending, or stderr. Each thread opens it for
 * itself, and each line is one write, so the lines of several threads never mix. Written
 * synchronously, so that a line is out before whatever comes next, a crash included.
 */

import { openSync } from 'node:fs'
import sonicBoom from 'sonic-boom'

const MODE = 0o644
const STDERR = 2
/**
 * Text kept while the disk is full or a pipe's reader is slow; beyond it lines are dropped. Bytes.
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
   * Opens the path again, after a log rotation. Does nothing for stderr. Throws as the constructor
   * does; the old file then stays in use.
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
  // A proxy must not sleep for its log: what a slow reader does not take is kept for the next
  // line's write, up to the limit.
  const destination = new sonicBoom.SonicBoom({ fd, sync: true, maxLength: BACKLOG_BYTES, retryEAGAIN: () => false })
  // A log that cannot be written (disk full, reader gone) must not end the proxy, and there is
  // nowhere to say it.
  destination.on('error', () => {})
  return destination
}
