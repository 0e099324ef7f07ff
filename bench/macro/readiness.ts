/**
 * Asks a process that has just been started until it answers rightly: the way to know that a server or proxy is up, and how long that took.
 * Called by `servers.ts` and `contenders.ts`.
 */

import { connect } from 'node:net'
import { type Child, delay } from './processes.ts'

const READY_MS = 15_000
const TRY_MS = 2_000
const RETRY_MS = 1

/**
 * Connects and asks anew, every millisecond, until the reply is exactly `answer`.
 * @returns milliseconds from the call to the reply. @throws when the process exits, or after 15 s.
 */
export async function awaitReply(child: Child, port: number, question: Buffer, answer: Buffer): Promise<number> {
  const start = performance.now()
  while (performance.now() - start < READY_MS) {
    if (child.hasExited) throw new Error(`${child.name} exited with ${await child.exited}: ${child.lastOutput}`)
    if (await answersRightly(port, question, answer)) return performance.now() - start
    await delay(RETRY_MS)
  }
  throw new Error(`${child.name} does not answer on port ${port}: ${child.lastOutput}`)
}

function answersRightly(port: number, question: Buffer, answer: Buffer): Promise<boolean> {
  return new Promise(resolve => {
    let received = Buffer.alloc(0)
    const socket = connect({ host: '127.0.0.1', port }, () => socket.write(question))
    socket.setTimeout(TRY_MS, () => socket.destroy())
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk])
      if (received.length >= answer.length) socket.destroy()
    })
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.destroy())
    socket.once('close', () => resolve(received.equals(answer)))
  })
}
