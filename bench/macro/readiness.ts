/**
 * Asks a process that has just been started until it answers rightly: the way to know that a server or proxy is up, and
 * how long that took. Called by `servers.ts` and `contenders.ts`.
 */

import { connect } from 'node:net'
import { type Child, delay } from './processes.ts'

const READY_MS = 15_000
const TRY_MS = 2_000
const RETRY_MS = 1
const SAID_BYTES = 100

/**
 * Connects and asks again, every millisecond, until the reply is exactly `answer`.
 * @returns milliseconds from the call to the reply. @throws when the process exits, or after 15 s.
 */
export async function awaitReply(child: Child, port: number, question: Buffer, answer: Buffer): Promise<number> {
  const start = performance.now()
  let received = Buffer.alloc(0)
  while (performance.now() - start < READY_MS) {
    if (child.hasExited) throw new Error(`${child.name} exited with ${await child.exited}: ${child.lastOutput}`)
    received = await ask(port, question, answer.length)
    if (received.equals(answer)) return performance.now() - start
    await delay(RETRY_MS)
  }
  const said = received.length === 0 ? 'nothing' : JSON.stringify(received.toString('latin1', 0, SAID_BYTES))
  throw new Error(`${child.name} answered ${said} on port ${port} for ${READY_MS / 1000} s. ${child.lastOutput}`.trim())
}

/** @returns what came back until there were `answerBytes` bytes, the connection ended, or 2 s were over. */
function ask(port: number, question: Buffer, answerBytes: number): Promise<Buffer<ArrayBuffer>> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let bytes = 0
    const socket = connect({ host: '127.0.0.1', port }, () => socket.write(question))
    socket.setTimeout(TRY_MS, () => socket.destroy())
    socket.on('data', chunk => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes >= answerBytes) socket.destroy()
    })
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.destroy())
    socket.once('close', () => resolve(Buffer.concat(chunks)))
  })
}
