/** A TCP relay that injects a fault, so that a checking harness can be shown to catch one. */

import { connect, type Socket } from 'node:net'
import { openServer } from './open-server.ts'

export interface Relay {
  readonly port: number
  stop(): Promise<void>
}

/**
 * Listens, and opens a connection to `target` for each client; one that ends takes the other along.
 * @param pipe passes bytes on between the two, by their `data` events.
 * @param refuses true: the client is reset at once.
 */
export async function openRelay(
  target: number,
  pipe: (client: Socket, upstream: Socket) => void,
  refuses: () => boolean = () => false,
): Promise<Relay & { readonly sockets: ReadonlySet<Socket> }> {
  const upstreams = new Set<Socket>()
  const server = await openServer(client => {
    if (refuses()) {
      client.resetAndDestroy()
      return
    }
    const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true })
    upstreams.add(upstream)
    upstream.on('error', () => client.destroy())
    upstream.on('close', () => {
      upstreams.delete(upstream)
      client.destroy()
    })
    client.on('error', () => upstream.destroy())
    client.on('close', () => upstream.destroy())
    pipe(client, upstream)
  })
  return {
    port: server.port,
    get sockets() {
      return new Set([...server.sockets, ...upstreams])
    },
    stop: () => {
      for (const upstream of upstreams) upstream.destroy()
      return server.stop()
    },
  }
}

/**
 * Relays to `target`. @param tamper sees each chunk of the reply stream with the number of reply
 * bytes relayed before on that connection, and may change it in place.
 */
export function startRelay(target: number, tamper: (chunk: Buffer, offset: number) => void): Promise<Relay> {
  return openRelay(target, (client, upstream) => {
    let offset = 0
    client.on('data', chunk => upstream.write(chunk))
    upstream.on('data', chunk => {
      tamper(chunk, offset)
      offset += chunk.length
      client.write(chunk)
    })
  })
}

/** A fault: inverts the lowest bit of the reply byte at `position` of each connection. */
export function flipByteAt(position: number): (chunk: Buffer, offset: number) => void {
  return (chunk, offset) => {
    const at = position - offset
    if (at >= 0 && at < chunk.length) chunk[at]! ^= 1
  }
}
