/** The servers and pools that applications are tried with: one proxy, a pool for each number of servers and setting. */

import { poolYml, type RunningProxy, serverEntry, startProxy } from '../support/processes/proxy.ts'
import { ask, startMemcached, startRedis, type TestServer } from '../support/processes/servers.ts'
import { Wire } from '../support/wire/wire.ts'

export type Protocol = 'redis' | 'memcache'

/** Keys of a pool beside `redis`, `timeout` and `hash`, for instance `{ multi: 'split' }`. */
export type PoolKeys = Readonly<Record<string, string | number | boolean>>

/** What an application is started with. */
export interface Place {
  readonly servers: 1 | 3
  readonly keys: PoolKeys
}

export class Pools {
  readonly #protocol: Protocol
  readonly #servers: readonly TestServer[]
  readonly #proxy: RunningProxy
  readonly #ports: ReadonlyMap<string, number>

  private constructor(
    protocol: Protocol,
    servers: readonly TestServer[],
    proxy: RunningProxy,
    ports: ReadonlyMap<string, number>,
  ) {
    this.#protocol = protocol
    this.#servers = servers
    this.#proxy = proxy
    this.#ports = ports
  }

  /** Starts four servers and one proxy with a pool for each of `places`. */
  static async start(protocol: Protocol, places: readonly Place[]): Promise<Pools> {
    const start = protocol === 'redis' ? startRedis : startMemcached
    const servers = await Promise.all([start(), start(), start(), start()])
    const different = new Map(places.map(place => [nameOf(place), place]))
    const yml = [...different.values()].map((place, index) => poolText(protocol, servers, place, index)).join('')
    const proxy = await startProxy({ kind: 'pistachio', workers: 2, yml })
    return new Pools(protocol, servers, proxy, new Map([...different.keys()].map((name, i) => [name, proxy.ports[i]!])))
  }

  /** The port of the server that the pools of one server have, for the same program without a proxy. */
  get directPort(): number {
    return this.#servers[0]!.port
  }

  portOf(place: Place): number {
    return this.#ports.get(nameOf(place))!
  }

  log(): string {
    return this.#proxy.log()
  }

  /** Empties every server and forgets its scripts. */
  async empty(): Promise<void> {
    await Promise.all(this.#servers.map(server => (this.#protocol === 'redis' ? emptyRedis(server) : flush(server))))
  }
}

/** @returns what `places` are told apart by. */
function nameOf(place: Place): string {
  return `${place.servers} ${JSON.stringify(place.keys)}`
}

function poolText(protocol: Protocol, servers: readonly TestServer[], place: Place, index: number): string {
  const own = place.servers === 1 ? servers.slice(0, 1) : servers.slice(1)
  return poolYml({
    name: `pool${index}`,
    listen: `127.0.0.1:@PORT${index}@`,
    // The default hash leaves names that differ at their end on one server more often.
    keys: { ...(protocol === 'redis' ? { redis: true } : {}), hash: 'md5', ...place.keys },
    servers: own.map((server, i) => serverEntry(server, `server${i}`)),
  })
}

async function emptyRedis(server: TestServer): Promise<void> {
  await ask(server, ['FLUSHALL'], ['SCRIPT', 'FLUSH'])
}

async function flush(server: TestServer): Promise<void> {
  const wire = await Wire.open({ port: server.port })
  wire.send(Buffer.from('flush_all\r\n'))
  await wire.memcacheReplies(1)
  wire.destroy()
}
