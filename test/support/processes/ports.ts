/** Free loopback ports for programs that cannot bind port 0 and tell. */

import { createServer } from 'node:net'

/**
 * A port that was free a moment ago. Another process may take it first: start through
 * `withFreePorts`.
 */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

const ATTEMPTS = 5

/**
 * Runs `start` with `count` free ports, again with others when it fails because one was taken
 * meanwhile.
 */
export async function withFreePorts<T>(count: number, start: (ports: number[]) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const ports = await Promise.all(Array.from({ length: count }, freePort))
    try {
      return await start(ports)
    } catch (error) {
      const taken = error instanceof Error && /address already in use|EADDRINUSE/i.test(error.message)
      if (!taken || attempt === ATTEMPTS) throw error
    }
  }
}
