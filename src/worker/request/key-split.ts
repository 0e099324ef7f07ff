/**
 * The keys of one request, sorted by server. Data plane. Scratch space of a pool: one split at a
 * time, used again for the next.
 *
 *     keys 0 1 2 3 on servers 7 2 7 7:   head[7] = 0 ─▶ nextKey 2 ─▶ 3 ─▶ -1      head[2] = 1 ─▶ -1
 */

export class KeySplit {
  /** First key of each server; -1 = none. */
  head: Int32Array
  /** Last key of each server; valid where `head` is not -1. */
  private tail: Int32Array
  /** Keys of each server. */
  count: Int32Array
  /** The next key of the same server, by key; -1 = none. */
  nextKey: Int32Array = new Int32Array(64)
  /** Keys added since `clear`. */
  keyCount = 0
  /** Servers that have a key. */
  serverCount = 0
  /** Lowest and highest index of a server with a key; without keys, `first` is above `last`. */
  first = 0
  last = 0

  /** @param servers of the pool. */
  constructor(servers: number) {
    this.head = new Int32Array(servers).fill(-1)
    this.tail = new Int32Array(servers).fill(-1)
    this.count = new Int32Array(servers)
    this.first = servers
    this.last = -1
  }

  /** Forgets the last split. @param keys room that is made, at least as many as will be added. */
  clear(keys: number): void {
    for (let server = this.first; server <= this.last; server++) {
      this.head[server] = -1
      this.count[server] = 0
    }
    this.keyCount = 0
    this.serverCount = 0
    this.first = this.head.length
    this.last = -1
    if (keys > this.nextKey.length) this.nextKey = new Int32Array(keys * 2)
  }

  /** Adds the request's next key. @param server index of the server that it belongs to. */
  add(server: number): void {
    const key = this.keyCount++
    this.nextKey[key] = -1
    if (this.head[server] === -1) {
      this.head[server] = key
      this.serverCount++
      if (server < this.first) this.first = server
      if (server > this.last) this.last = server
    } else {
      this.nextKey[this.tail[server]] = key
    }
    this.tail[server] = key
    this.count[server]++
  }
}
