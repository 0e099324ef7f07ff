/** Lost servers of one subscriber, to which it subscribes again when they are back. Data plane. */

import type { ReturnWatcher } from '../../server/reconnection.ts'
import type { Server } from '../../server/server.ts'

export class AbsentServers {
  private readonly watchers: Map<Server, ReturnWatcher> = new Map()
  private readonly back: (server: Server) => void

  /** @param back is called once for each server that was added, when it answers again. */
  constructor(back: (server: Server) => void) {
    this.back = back
  }

  has(server: Server): boolean {
    return this.watchers.has(server)
  }

  add(server: Server): void {
    if (this.watchers.has(server)) return
    const watcher = {
      serverBack: () => {
        this.watchers.delete(server)
        this.back(server)
      },
    }
    this.watchers.set(server, watcher)
    server.reconnection.watch(watcher)
  }

  /** Stops waiting for all of them. */
  clear(): void {
    for (const [server, watcher] of this.watchers) server.reconnection.unwatch(watcher)
    this.watchers.clear()
  }
}
