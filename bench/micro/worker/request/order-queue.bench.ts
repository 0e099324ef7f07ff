/**
 * What it costs to keep replies in the order of the requests: a message from its pool through a
 * client's queue to the output, when the replies come in order, and when they come in the opposite
 * order and all but one must be held. Run by `run.ts`.
 */

import { Client } from '../../../../src/worker/client/client.ts'
import type { PoolClients } from '../../../../src/worker/client/pool-clients.ts'
import { WorkerMemory } from '../../../../src/worker/memory/worker-memory.ts'
import { deliver } from '../../../../src/worker/request/delivery.ts'
import { type Message, MessageKind, MessagePool } from '../../../../src/worker/request/message.ts'
import { poolOf } from '../../../../test/support/generation.ts'
import { BATCH, type Suite, sink } from '../../suite.ts'

const REPLY = Buffer.from(`$32\r\n${'v'.repeat(32)}\r\n`, 'latin1')

/** A client without a connection: its output gathers and is thrown away by each task. */
function newClient(): Client {
  const memory = new WorkerMemory()
  const turn = { nowMs: 0, addDirty: () => {}, memory }
  const pool = {
    context: { turn, messages: new MessagePool(memory), memory: { pressed: false } },
    config: poolOf('bench'),
  }
  return new Client({ pool, limits: { inFlightBytes: 1 << 20 } } as unknown as PoolClients)
}

/** @param depth requests in flight. */
function orderTask(depth: number, reversed: boolean): () => void {
  const client = newClient()
  const messages: Message[] = []
  return () => {
    for (let done = 0; done < BATCH; done += depth) {
      for (let i = 0; i < depth; i++) {
        const message = client.messages.acquire(client, MessageKind.forward)
        client.push(message)
        messages[i] = message
      }
      for (let i = 0; i < depth; i++) {
        deliver(messages[reversed ? depth - 1 - i : i]!, REPLY, 0, REPLY.length, false)
      }
      if (client.pending !== 0) throw new Error('A reply was not written')
      sink.value += client.socket.outLength
      client.socket.outLength = 0
    }
  }
}

export const suite: Suite = {
  name: 'worker/request/delivery and worker/request/message',
  tasks: [
    { name: '1 in flight', batch: BATCH, fn: orderTask(1, false) },
    { name: '100 in flight, replies in order', batch: BATCH, fn: orderTask(100, false) },
    { name: '100 in flight, replies in the opposite order', batch: BATCH, fn: orderTask(100, true) },
  ],
}
