/**
 * Clients of a Redis pool that never stop, in a process of their own because they run in another network: `node steady-clients.ts PORT`. One
 * connects for each request; another keeps its connection, pauses, and connects again when it finds its connection ended, as pools of
 * connections do. The first line of output comes when both have been served; at SIGTERM the counts follow, as JSON.
 */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface SteadyCounts {
  /** Requests on connections of their own that were answered. */
  fresh: number
  /** Requests on the kept connection that were answered. */
  kept: number
  /** How many kept connections the other side has ended. */
  ended: number
  /** What went wrong, one line a request. */
  readonly errors: string[]
}

const PAUSE_MS = 5
/** What the keeping client leaves between two requests. */
const KEPT_PAUSE_MS = 60
const REPLY_TIMEOUT_MS = 5_000

const port = Number(process.argv[2])
const counts: SteadyCounts = { fresh: 0, kept: 0, ended: 0, errors: [] }
let ending = false

process.once('SIGTERM', () => {
  ending = true
})

async function opened(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  // What the next request finds, it says.
  socket.on('error', () => {})
  return socket
}

/** Sends a request and awaits its reply; rejects when there is none. */
async function asked(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const timer = setTimeout(resolve, REPLY_TIMEOUT_MS, 'no reply')
  const onData = (data: Buffer): void => resolve(`${data}`)
  const onClose = (): void => resolve('the connection ended before the reply')
  socket.on('data', onData).on('close', onClose)
  socket.write('PING\r\n')
  const reply = await promise
  clearTimeout(timer)
  socket.off('data', onData).off('close', onClose)
  if (reply !== '+PONG\r\n') throw new Error(reply)
}

async function connectForEach(): Promise<void> {
  while (!ending) {
    try {
      const socket = await opened()
      await asked(socket)
      socket.destroy()
      counts.fresh++
    } catch (error) {
      counts.errors.push(`fresh: ${error}`)
    }
    await delay(PAUSE_MS)
  }
}

async function keepConnection(): Promise<void> {
  let socket: Socket | null = null
  while (!ending) {
    try {
      if (socket === null || socket.readableEnded || socket.destroyed) {
        socket = await opened()
        socket.once('end', () => counts.ended++)
      }
      await asked(socket)
      counts.kept++
    } catch (error) {
      counts.errors.push(`kept: ${error}`)
      socket?.destroy()
    }
    await delay(KEPT_PAUSE_MS)
  }
  socket?.destroy()
}

async function announce(): Promise<void> {
  while (!ending && (counts.fresh === 0 || counts.kept === 0)) await delay(PAUSE_MS)
  console.log('served')
}

await Promise.all([connectForEach(), keepConnection(), announce()])
console.log(JSON.stringify(counts))
process.exit(0)
