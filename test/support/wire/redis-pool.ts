/**
 * A pool over three real Redis servers with two workers, and conversations with it in RESP as it is
 * written on the wire.
 */

import { poolYml, type RunningProxy, serverEntry, startProxy } from '../processes/proxy.ts'
import { ask, startRedis, type TestServer } from '../processes/servers.ts'
import { waitUntil } from '../wait.ts'
import { encode, type RespArgument } from './resp.ts'
import { Wire } from './wire.ts'

export interface RedisPool {
  readonly proxy: RunningProxy
  readonly servers: readonly TestServer[]
  readonly port: number
  /** A conversation with the proxy; closed with `closeTalks`. */
  talk(): Promise<Talk>
}

/** @param keys of the pool, beside `redis`, `hash`, `hash_tag` and `timeout` (ms, 1000). */
export async function startRedisPool(
  keys: Readonly<Record<string, string | number | boolean>> = {},
  workers = 2,
): Promise<RedisPool> {
  const servers = await Promise.all([startRedis(), startRedis(), startRedis()])
  const entries = servers.map((server, index) => serverEntry(server, `server${index}`))
  const yml = poolYml({
    keys: { redis: true, hash: 'md5', hash_tag: '"{}"', timeout: 1_000, ...keys },
    servers: entries,
  })
  const proxy = await startProxy({ kind: 'pistachio', workers, yml })
  const port = proxy.ports[0]!
  return { proxy, servers, port, talk: async () => new Talk(await Wire.open({ port })) }
}

export class Talk {
  readonly wire: Wire

  constructor(wire: Wire) {
    this.wire = wire
    talks.push(this)
  }

  /** One request, one reply, as text. */
  async say(...args: readonly RespArgument[]): Promise<string> {
    this.send(...args)
    return (await this.hear(1))[0]!
  }

  send(...args: readonly RespArgument[]): void {
    this.wire.send(encode(...args))
  }

  /** Requests in one packet. */
  sendAll(...requests: readonly (readonly RespArgument[])[]): void {
    this.wire.send(Buffer.concat(requests.map(request => encode(...request))))
  }

  async hear(count: number): Promise<string[]> {
    return (await this.wire.redisReplies(count)).map(reply => reply.toString('latin1'))
  }
}

const talks: Talk[] = []

export function closeTalks(): void {
  for (const talk of talks.splice(0)) talk.wire.destroy()
}

/** The wire form of an array of bulks, `null`s and integers. */
export function array(...items: readonly (string | number | null)[]): string {
  const item = (value: string | number | null): string => {
    if (value === null) return '$-1\r\n'
    return typeof value === 'number' ? `:${value}\r\n` : `$${value.length}\r\n${value}\r\n`
  }
  return `*${items.length}\r\n${items.map(item).join('')}`
}

/** `count` keys of each server, by server: found by writing them through the proxy. */
export async function keysByServer(pool: RedisPool, prefix: string, count: number): Promise<string[][]> {
  const talk = await pool.talk()
  const found: string[][] = pool.servers.map(() => [])
  for (let i = 0; found.some(keys => keys.length < count); i++) {
    const key = `${prefix}${i}`
    await talk.say('SET', key, 'x')
    for (const [index, server] of pool.servers.entries()) {
      if (`${(await ask(server, ['DEL', key]))[0]}` === ':1\r\n') found[index]!.push(key)
    }
  }
  return found.map(keys => keys.slice(0, count))
}

/**
 * Waits until a server's `INFO clients` shows this many of a field, for instance `blocked_clients`.
 */
export function serverShows(server: TestServer, field: string, value: number): Promise<void> {
  return waitUntil(
    async () => `${(await ask(server, ['INFO', 'clients']))[0]}`.includes(`${field}:${value}\r\n`),
    `${field}:${value} of ${server.port}`,
  )
}
