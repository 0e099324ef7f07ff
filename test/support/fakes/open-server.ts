/** A listening socket of a test, with the connections that it has accepted. */

import { createServer, type Server, type ServerOpts, type Socket } from 'node:net'

export interface OpenServer {
  readonly port: number
  /** Connections that are open, oldest first. */
  readonly sockets: ReadonlySet<Socket>
  /** Disconnects all clients and closes the port. */
  stop(): Promise<void>
}

/**
 * Listens on a free loopback port. An error on a connection destroys it.
 * @param onSocket called for each accepted connection.
 */
export async function openServer(onSocket: (socket: Socket) => void, options: ServerOpts = {}): Promise<OpenServer> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, ...options }, socket => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    onSocket(socket)
  })
  const port = await listen(server)
  const stop = (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    return new Promise(resolve => server.close(() => resolve()))
  }
  return { port, sockets, stop }
}

/** Listens on a free loopback port. @returns the port. */
export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
}
