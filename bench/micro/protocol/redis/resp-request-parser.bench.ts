/** How long it takes to find one RESP request in a read buffer, by shape. Run by `run.ts`. */

import { withWords } from '../../../../src/bytes/word-buffer.ts'
import { Parsed } from '../../../../src/protocol/parser.ts'
import { RespRequestParser } from '../../../../src/protocol/redis/request-parser.ts'
import { BATCH, type Suite, sink } from '../../suite.ts'

const KEYS = 20
const LARGE_BYTES = 16_384

const parser = new RespRequestParser()

/** Parses a buffer that holds `BATCH` requests, one after another, as a pipeline arrives. */
function pipelineTask(words: readonly string[]): () => void {
  const request = `*${words.length}\r\n${words.map(word => `$${word.length}\r\n${word}\r\n`).join('')}`
  const buf = withWords(Buffer.from(request.repeat(BATCH), 'latin1'))
  return () => {
    for (let at = 0; at < buf.length; at = parser.end) {
      if (parser.parse(buf, at, buf.length) !== Parsed.complete) throw new Error('Not a whole request')
    }
    sink.value += parser.args[0]!
  }
}

/** The same request in two pieces, cut in the middle of its last argument. */
function splitTask(): () => void {
  const buf = withWords(Buffer.from('*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n', 'latin1'))
  return () => {
    for (let i = 0; i < BATCH; i++) {
      if (parser.parse(buf, 0, buf.length - 9) !== Parsed.incomplete) throw new Error('Whole too early')
      if (parser.parse(buf, 0, buf.length) !== Parsed.complete) throw new Error('Not a whole request')
    }
    sink.value += parser.end
  }
}

const keys = Array.from({ length: KEYS }, (_, i) => `key:${String(i).padStart(12, '0')}`)

export const suite: Suite = {
  name: 'protocol/redis/request-parser',
  tasks: [
    { name: 'GET, 16-byte key', batch: BATCH, fn: pipelineTask(['GET', keys[0]!]) },
    { name: 'SET, 32-byte value', batch: BATCH, fn: pipelineTask(['SET', keys[0]!, 'v'.repeat(32)]) },
    { name: 'SET, 16 KB value', batch: BATCH, fn: pipelineTask(['SET', keys[0]!, 'v'.repeat(LARGE_BYTES)]) },
    { name: `MGET, ${KEYS} keys`, batch: BATCH, fn: pipelineTask(['MGET', ...keys]) },
    { name: 'GET in two pieces', batch: BATCH, fn: splitTask() },
  ],
}
