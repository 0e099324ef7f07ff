/**
 * A scripted server: reads whole requests and does for each what the script says, including what no
 * real server would do. For reply vectors and faults.
 */

import { createServer, type Server, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { memcacheRequestEnd } from '../wire/memcache-wire.ts'
import { replyEnd } from '../wire/resp.ts'

/**
 * `reply`: these bytes, cut at `cuts` into TCP segments. `stall`: no answer to this and all later
 * requests of the connection. `close`: FIN, after `bytes` if given. `reset`: RST. `nothing`: no
 * answer, go on with the next request.
 */
export type Action =
  | { readonly do: 'reply'; readonly bytes: Buffer; readonly cuts?: readonly number[] }
  | { readonly do: 'close'; readonly bytes?: Buffer }
  | { readonly do: 'stall' }
  | { readonly do: 'reset' }
  | { readonly do: 'nothing' }

/**
 * @param request one complete request, valid for good.
 * @param connection 0 for the first connection, and so on.
 */
export type Script = (request: Buffer, connection: number) => Action

export interface FakeServer {
  readonly port: number
  /** Every complete request so far, over all connections, in order of arrival. */
  readonly requests: readonly Buffer[]
  /** Connections accepted so far. */
  connections(): number
  /** Those that are open. */
  sockets(): readonly Socket[]
  stop(): Promise<void>
}

export async function startFakeServer(protocol: 'redis' | 'memcache', script: Script): Promise<FakeServer> {
  const endOf = protocol === 'redis' ? replyEnd : memcacheRequestEnd
  const sockets = new Set<Socket>()
  const requests: Buffer[] = []
  let connections = 0
  const server = createServer({ noDelay: true }, socket => {
    const connection = connections++
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    serve(socket, endOf, request => {
      requests.push(request)
      return script(request, connection)
    })
  })
  const port = await listen(server)
  const stop = (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    return new Promise(resolve => server.close(() => resolve()))
  }
  return { port, requests, connections: () => connections, sockets: () => [...sockets], stop }
}

export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
}

function serve(
  socket: Socket,
  endOf: (bytes: Buffer, at: number, end: number) => number,
  act: (request: Buffer) => Action,
): void {
  let pending = Buffer.alloc(0)
  let stalled = false
  // One chain per connection keeps the segments of consecutive replies in order.
  let chain = Promise.resolve()
  socket.on('data', chunk => {
    pending = Buffer.concat([pending, chunk])
    for (;;) {
      const end = endOf(pending, 0, pending.length)
      if (end < 0 || stalled) return
      const action = act(Buffer.from(pending.subarray(0, end)))
      pending = pending.subarray(end)
      if (action.do === 'stall') stalled = true
      chain = chain.then(() => perform(socket, action))
    }
  })
}

async function perform(socket: Socket, action: Action): Promise<void> {
  if (socket.destroyed) return
  if (action.do === 'reset') {
    socket.resetAndDestroy()
  } else if (action.do === 'close') {
    socket.end(action.bytes ?? Buffer.alloc(0))
  } else if (action.do === 'reply') {
    let from = 0
    for (const cut of action.cuts ?? []) {
      socket.write(action.bytes.subarray(from, cut))
      from = cut
      await turn()
    }
    socket.write(action.bytes.subarray(from))
  }
}
