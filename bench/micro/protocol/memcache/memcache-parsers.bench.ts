/**
 * How long it takes to find one memcached request and one reply in a read buffer, by shape. Run by
 * `run.ts`.
 */

import { MemcacheReplyParser } from '../../../../src/protocol/memcache/reply-parser.ts'
import { MemcacheRequestParser } from '../../../../src/protocol/memcache/request-parser.ts'
import { Parsed, type ParsedCode } from '../../../../src/protocol/parser.ts'
import { BATCH, type Suite, sink } from '../../suite.ts'

interface Parser {
  end: number
  parse(buf: Uint8Array, start: number, end: number): ParsedCode
}

function pipelineTask(parser: Parser, text: string): () => void {
  const buf = Buffer.from(text.repeat(BATCH), 'latin1')
  return () => {
    for (let at = 0; at < buf.length; at = parser.end) {
      if (parser.parse(buf, at, buf.length) !== Parsed.complete) throw new Error('Not whole')
    }
    sink.value += parser.end
  }
}

const requests = new MemcacheRequestParser()
const replies = new MemcacheReplyParser()
const keys = Array.from({ length: 20 }, (_, i) => `key:${String(i).padStart(12, '0')}`)
const value = 'v'.repeat(32)
const found = `VALUE ${keys[0]} 0 32\r\n${value}\r\n`

export const suite: Suite = {
  name: 'protocol/memcache/*-parser',
  tasks: [
    { name: 'get', batch: BATCH, fn: pipelineTask(requests, `get ${keys[0]}\r\n`) },
    { name: 'set, 32-byte value', batch: BATCH, fn: pipelineTask(requests, `set ${keys[0]} 0 0 32\r\n${value}\r\n`) },
    { name: 'get of 20 keys', batch: BATCH, fn: pipelineTask(requests, `get ${keys.join(' ')}\r\n`) },
    { name: 'STORED', batch: BATCH, fn: pipelineTask(replies, 'STORED\r\n') },
    { name: 'one VALUE', batch: BATCH, fn: pipelineTask(replies, `${found}END\r\n`) },
    { name: '20 VALUEs', batch: BATCH, fn: pipelineTask(replies, `${found.repeat(20)}END\r\n`) },
  ],
}
