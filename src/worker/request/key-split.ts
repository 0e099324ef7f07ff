/**
 * The keys of one request, sorted by server. Data plane. Scratch space of a pool: one split at a time, used again for the next.
 *
 *     keys 0 1 2 3 on servers 7 2 7 7:   head[7] = 0 ─▶ nextKey 2 ─▶ 3 ─▶ -1      head[2] = 1 ─▶ -1
 */

/** Groups the keys of one request by server: linked lists through `nextKey`, heads and tails by server. */
export class KeySplit {
  /** First and last key of each server; -1 = none. */
  head: Int32Array
  private tail: Int32Array
  count: Int32Array
  nextKey: Int32Array = new Int32Array(64)
  keyCount = 0
  /** Servers that own a key. */
  serverCount = 0
  /** Lowest and highest server with a key, to keep the walk short. */
  first = 0
  last = 0

  constructor(servers: number) {
    this.head = new Int32Array(servers).fill(-1)
    this.tail = new Int32Array(servers).fill(-1)
    this.count = new Int32Array(servers)
    this.first = servers
    this.last = -1
  }

  /** Forgets the last split. */
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

  /** Adds the next key of the request. */
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
