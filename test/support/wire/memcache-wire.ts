/**
 * Memcached's text protocol for tests, written apart from `src/protocol/memcache`: where replies
 * and requests end.
 */

import { printable } from './resp.ts'

export class MemcacheError extends Error {}

const STORAGE = ['set', 'add', 'replace', 'append', 'prepend', 'cas']

/**
 * First byte of a binary response: what a binary client is answered that came to the wrong port.
 */
const BINARY_REPLY = 0x81
const BINARY_HEADER_BYTES = 24

/**
 * Where the reply that starts at `at` ends, or -1 when it is incomplete. VALUE blocks belong to the
 * reply up to and with the line that is none. @throws MemcacheError when a data block does not end
 * in CRLF.
 */
export function memcacheReplyEnd(bytes: Buffer, at: number, end: number): number {
  if (bytes[at] === BINARY_REPLY) return binaryReplyEnd(bytes, at, end)
  let position = at
  for (;;) {
    const line = bytes.indexOf('\r\n', position, 'latin1')
    if (line < 0 || line + 2 > end) return -1
    const block = /^VALUE [^ ]+ [^ ]+ (\d+)( .*)?$/s.exec(
      bytes.toString('latin1', position, Math.min(line, position + 600)),
    )
    position = line + 2
    if (block === null) return position
    position += Number(block[1]) + 2
    if (position > end) return -1
    if (bytes[position - 2] !== 13 || bytes[position - 1] !== 10) {
      throw new MemcacheError(`No CRLF after a data block: ${printable(bytes.subarray(at, end))}`)
    }
  }
}

function binaryReplyEnd(bytes: Buffer, at: number, end: number): number {
  if (end < at + BINARY_HEADER_BYTES) return -1
  const replyEnd = at + BINARY_HEADER_BYTES + bytes.readUInt32BE(at + 8)
  return replyEnd <= end ? replyEnd : -1
}

export interface ValueBlock {
  readonly key: string
  readonly flags: string
  /** '' when the reply has none. */
  readonly cas: string
  /** One char a byte. */
  readonly data: string
}

/** The VALUE blocks of one complete reply. */
export function valueBlocks(reply: Buffer): ValueBlock[] {
  const blocks: ValueBlock[] = []
  for (let at = 0; at < reply.length; ) {
    const line = reply.indexOf('\r\n', at, 'latin1')
    const [word, key, flags, bytes, cas] = reply.toString('latin1', at, line).split(' ')
    if (word !== 'VALUE') break
    const end = line + 2 + Number(bytes)
    blocks.push({ key: key!, flags: flags!, cas: cas ?? '', data: reply.toString('latin1', line + 2, end) })
    at = end + 2
  }
  return blocks
}

/** Where the request that starts at `at` ends, or -1 when it is incomplete. */
export function memcacheRequestEnd(bytes: Buffer, at: number, end: number): number {
  const line = bytes.indexOf('\r\n', at, 'latin1')
  if (line < 0 || line + 2 > end) return -1
  const fields = bytes.toString('latin1', at, line).trim().split(/ +/)
  if (!STORAGE.includes(fields[0]!)) return line + 2
  const after = line + 2 + Number(fields[4]) + 2
  return after > end ? -1 : after
}
