/**
 * How long it takes to find the end of one RESP reply in a read buffer, by shape. Run by `run.ts`.
 */

import { Parsed } from '../../../../src/protocol/parser.ts'
import { RespReplyParser } from '../../../../src/protocol/redis/reply-parser.ts'
import { BATCH, type Suite, sink } from '../../suite.ts'

const parser = new RespReplyParser()

function pipelineTask(reply: string): () => void {
  const buf = Buffer.from(reply.repeat(BATCH), 'latin1')
  return () => {
    for (let at = 0; at < buf.length; at = parser.end) {
      if (parser.parse(buf, at, buf.length) !== Parsed.complete) throw new Error('Not a whole reply')
    }
    sink.value += parser.end
  }
}

function bulk(bytes: number): string {
  return `$${bytes}\r\n${'v'.repeat(bytes)}\r\n`
}

export const suite: Suite = {
  name: 'protocol/redis/reply-parser',
  tasks: [
    { name: '+OK', batch: BATCH, fn: pipelineTask('+OK\r\n') },
    { name: 'integer', batch: BATCH, fn: pipelineTask(':1000\r\n') },
    { name: 'bulk, 32 bytes', batch: BATCH, fn: pipelineTask(bulk(32)) },
    { name: 'bulk, 16 KB', batch: BATCH, fn: pipelineTask(bulk(16_384)) },
    { name: 'array of 20 bulks', batch: BATCH, fn: pipelineTask(`*20\r\n${bulk(32).repeat(20)}`) },
    { name: 'nested arrays', batch: BATCH, fn: pipelineTask(`*2\r\n*2\r\n:1\r\n${bulk(8)}*1\r\n*1\r\n+x\r\n`) },
  ],
}
