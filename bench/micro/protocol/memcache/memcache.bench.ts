/**
 * What the memcached path does beside finding messages: meta commands, cutting `noreply`, walking
 * values, binary keys. Run by `run.ts`.
 */

import { decodeBase64 } from '../../../../src/protocol/memcache/base64.ts'
import { COMMANDS, lookupCommand } from '../../../../src/protocol/memcache/commands.ts'
import { MemcacheRequestParser } from '../../../../src/protocol/memcache/request-parser.ts'
import { isValueOf, valueEnd } from '../../../../src/protocol/memcache/values.ts'
import { Parsed } from '../../../../src/protocol/parser.ts'
import { BATCH, type Suite, sink } from '../../suite.ts'

const parser = new MemcacheRequestParser()
const key = Buffer.from('key:000000000001')
const value = `VALUE ${key} 0 32\r\n${'v'.repeat(32)}\r\n`
const values = Buffer.from(`${value.repeat(BATCH)}END\r\n`)
const names = COMMANDS.map(command => Buffer.from(command.name))
const base64 = Buffer.from(Buffer.alloc(12, 7).toString('base64'))
const decoded = new Uint8Array(250)

function parseTask(text: string): () => void {
  const buf = Buffer.from(text.repeat(BATCH))
  return () => {
    for (let at = 0; at < buf.length; at = parser.end) {
      if (parser.parse(buf, at, buf.length) !== Parsed.complete) throw new Error('Not whole')
    }
    sink.value += parser.cutStart
  }
}

function walkValues(): void {
  let found = 0
  let at = 0
  for (;;) {
    const end = valueEnd(values, at)
    if (end === at) break
    if (isValueOf(values, at, key, 0, key.length)) found++
    at = end
  }
  sink.value += found
}

function lookUpNames(): void {
  for (let i = 0; i < BATCH; i++) {
    const name = names[i % names.length]
    sink.value += lookupCommand(name, 0, name.length).index
  }
}

function decodeKeys(): void {
  for (let i = 0; i < BATCH; i++) sink.value += decodeBase64(base64, 0, base64.length, decoded)
}

export const suite: Suite = {
  name: 'protocol/memcache',
  tasks: [
    { name: 'command by its bytes', batch: BATCH, fn: lookUpNames },
    { name: 'set, noreply cut out', batch: BATCH, fn: parseTask(`set ${key} 0 0 3 noreply\r\nabc\r\n`) },
    { name: 'mg, quiet cut out', batch: BATCH, fn: parseTask(`mg ${key} t f v q O12\r\n`) },
    { name: 'one value walked over', batch: BATCH, fn: walkValues },
    { name: 'binary key of 12 bytes', batch: BATCH, fn: decodeKeys },
  ],
}
