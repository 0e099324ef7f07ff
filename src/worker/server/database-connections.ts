/**
 * One server's shared connections in databases other than 0. Data plane; `Server` has one of these, which is empty until a client has
 * selected such a database.
 *
 *     connections of a kind (`connection-kind.ts`) ─▶ up to `server_connections`, opened when first needed, closed after a minute of silence
 *
 * All kinds together have a bound. From half of it on each kind gets one connection only. At the bound the connection that has been
 * silent longest gives up its place; where every connection has requests in flight there is no place.
 */

/**
 * Most connections in databases other than 0 that one worker has to one server, apart from those that one client has to itself.
 * @testOnly
 */
export const MAX_DATABASE_CONNECTIONS = 64
/** From here on each database and protocol version has one connection. */
const SPARSE_FROM = MAX_DATABASE_CONNECTIONS / 2
/** A connection without requests for this long is closed, ms. @testOnly */
export const DATABASE_IDLE_MS = 60_000

/** What is asked of a connection here. */
export interface IdleConnection {
  /** Oldest request in flight; null = none. */
  readonly head: object | null
  /** Time since the server last said something, ms. */
  silentMs(nowMs: number): number
  /** Takes no more requests; closes at once where none is in flight. */
  retire(): void
  checkDeadlines(nowMs: number): void
}

export class DatabaseConnections<Connection extends IdleConnection> {
  private readonly byKind: Map<number, Connection[]> = new Map()

  /** The connections of a kind, in no order. The caller may add one after `makeRoom`, and removes those that end. */
  of(kind: number): Connection[] {
    let connections = this.byKind.get(kind)
    if (connections === undefined) {
      connections = []
      this.byKind.set(kind, connections)
    }
    return connections
  }

  all(): Connection[] {
    return this.byKind.size === 0 ? [] : [...this.byKind.values()].flat()
  }

  get count(): number {
    let count = 0
    for (const connections of this.byKind.values()) count += connections.length
    return count
  }

  /** Takes all connections out of use. @returns them. */
  clear(): Connection[] {
    const connections = this.all()
    this.byKind.clear()
    return connections
  }

  /** Whether a kind may have one more connection; one without requests may be closed for it. */
  makeRoom(kind: number, nowMs: number): boolean {
    const { count } = this
    if (this.of(kind).length > 0) return count < SPARSE_FROM
    if (count < MAX_DATABASE_CONNECTIONS) return true
    const idle = this.all().filter(connection => connection.head === null)
    if (idle.length === 0) return false
    idle.reduce((longest, each) => (each.silentMs(nowMs) > longest.silentMs(nowMs) ? each : longest)).retire()
    return true
  }

  checkDeadlines(nowMs: number): void {
    if (this.byKind.size === 0) return
    for (const [kind, connections] of this.byKind) {
      // Backwards: a connection that ends leaves the list.
      for (let i = connections.length - 1; i >= 0; i--) {
        const connection = connections[i]
        connection?.checkDeadlines(nowMs)
        if (connection?.head === null && connection.silentMs(nowMs) >= DATABASE_IDLE_MS) connection.retire()
      }
      if (connections.length === 0) this.byKind.delete(kind)
    }
  }
}
