/**
 * A scripted server: reads whole requests and does for each what the script says, including what no
 * real server would do. For reply vectors and faults.
 */

import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { memcacheRequestEnd } from '../wire/memcache-wire.ts'
import { replyEnd } from '../wire/resp.ts'
import { openServer } from './open-server.ts'
import { type RequestEnd, RequestReader } from './request-reader.ts'

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
 * @param request one complete request; its bytes do not change afterwards.
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
  const requestEnd = protocol === 'redis' ? replyEnd : memcacheRequestEnd
  const endOf: RequestEnd = (bytes, at) => requestEnd(bytes, at, bytes.length)
  const requests: Buffer[] = []
  let connections = 0
  const server = await openServer(socket => {
    const connection = connections++
    serve(socket, endOf, request => {
      requests.push(request)
      return script(request, connection)
    })
  })
  return {
    port: server.port,
    requests,
    connections: () => connections,
    sockets: () => [...server.sockets],
    stop: () => server.stop(),
  }
}

function serve(socket: Socket, endOf: RequestEnd, act: (request: Buffer) => Action): void {
  // One chain per connection keeps the segments of consecutive replies in order.
  let chain = Promise.resolve()
  const reader = new RequestReader(endOf, request => {
    const action = act(request)
    if (action.do === 'stall') reader.stop()
    chain = chain.then(() => perform(socket, action))
  })
  socket.on('data', chunk => reader.take(chunk))
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
