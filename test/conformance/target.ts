/** What cases are run against: one redis-server directly, or a pool with one or three of them behind it. Each has servers of its own. */

import { type Address, stopAll } from '../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../support/processes/proxy.ts'
import { startRedis, type TestServer } from '../support/processes/servers.ts'
import { waitUntil } from '../support/wait.ts'
import { encode } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'
import { readValue, textOf, valueEnd } from './value.ts'

export type Protocol = 2 | 3

const BLOCK_TIMEOUT_MS = 1_000

const RESETS = [
  ['FLUSHALL'],
  ['SCRIPT', 'FLUSH'],
  ['FUNCTION', 'FLUSH'],
  ['CONFIG', 'RESETSTAT'],
  ['SLOWLOG', 'RESET'],
  ['LATENCY', 'RESET'],
  ['ACL', 'LOG', 'RESET'],
]

export class Target {
  readonly name: string
  readonly address: Address
  readonly servers: readonly TestServer[]
  readonly proxy: RunningProxy | null
  readonly #controls: readonly Wire[]

  private constructor(
    name: string,
    address: Address,
    servers: readonly TestServer[],
    proxy: RunningProxy | null,
    controls: readonly Wire[],
  ) {
    this.name = name
    this.address = address
    this.servers = servers
    this.proxy = proxy
    this.#controls = controls
  }

  static async direct(): Promise<Target> {
    const server = await startRedis()
    const address = { port: server.port }
    return new Target('direct', address, [server], null, [await Wire.open(address)])
  }

  /** A pool over `count` servers, with the hash tag {} and every other key at its default. */
  static async pool(name: string, count: number, workers: number, keys: Record<string, string> = {}): Promise<Target> {
    const servers = await Promise.all(Array.from({ length: count }, () => startRedis()))
    const entries = servers.map((server, index) => serverEntry(server, 'abc'[index]!))
    const yml = poolYml({ keys: { redis: true, hash_tag: '"{}"', ...keys }, servers: entries })
    const proxy = await startProxy({ kind: 'pistachio', workers, yml })
    const controls = await Promise.all(servers.map(server => Wire.open({ port: server.port })))
    return new Target(name, { port: proxy.ports[0]! }, servers, proxy, controls)
  }

  /** Empties the servers, past the proxy. */
  async reset(): Promise<void> {
    await this.tellServers(...RESETS)
  }

  async tellServers(...requests: readonly (readonly string[])[]): Promise<string[][]> {
    return Promise.all(
      this.#controls.map(async control => {
        for (const request of requests) control.send(encode(...request))
        const replies = await control.replies(requests.length, valueEnd)
        return replies.map(reply => textOf(readValue(reply)))
      }),
    )
  }

  /** Waits until `count` clients are blocked on all servers together. @returns false when that does not come. */
  async untilBlocked(count: number): Promise<boolean> {
    const blocked = async (): Promise<number> => {
      const infos = await this.tellServers(['INFO', 'clients'])
      return infos.reduce((sum, [info]) => sum + Number(/blocked_clients:(\d+)/.exec(info!)?.[1]), 0)
    }
    return waitUntil(async () => (await blocked()) === count, `${count} blocked clients`, BLOCK_TIMEOUT_MS).then(
      () => true,
      () => false,
    )
  }

  close(): void {
    for (const control of this.#controls) control.destroy()
  }
}

/** Behind one server; behind three; behind three with `cross_server: gather`. */
export const SUBJECTS = ['one', 'many', 'gather'] as const
export type SubjectName = (typeof SUBJECTS)[number]

export interface Targets {
  readonly direct: Target
  readonly subjects: Readonly<Record<SubjectName, Target>>
  stop(): Promise<void>
}

export async function startTargets(): Promise<Targets> {
  const [direct, one, many, gather] = await Promise.all([
    Target.direct(),
    Target.pool('one', 1, 2),
    Target.pool('many', 3, 2),
    Target.pool('gather', 3, 2, { cross_server: 'gather' }),
  ])
  const stop = async (): Promise<void> => {
    for (const target of [direct, one, many, gather]) target.close()
    await stopAll()
  }
  return { direct, subjects: { one, many, gather }, stop }
}
