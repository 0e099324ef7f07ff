/**
 * INFO over all servers: counters and sizes are summed, what all agree on stays, what differs is
 * the first server's. Sections of the proxy's own follow: itself, and each server. Data plane.
 */

import type { ReplyValue } from '../../../protocol/redis/reply-value.ts'
import type { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import { PoolStat, ServerStat } from '../../../shared/stat-fields.ts'
import type { Client } from '../../client/client.ts'
import type { SplitRequest } from '../../request/split-request.ts'
import { CollectingJoiner } from './collecting-joiner.ts'

type Section = Map<string, string>
type Info = Map<string, Section>

/** Sections whose numbers add up, but for the fields named here. */
const SUMMED_SECTIONS = new Set(['Clients', 'Memory', 'Stats', 'CPU'])
const NOT_SUMMED =
  /_(?:ratio|perc|policy|human|version|allocator|usec)$|^client_recent_max|^maxmemory_policy$|^latest_fork|^active_defrag|^lazyfree_in/
const SUMMED_ELSEWHERE = new Set(['rdb_changes_since_last_save', 'connected_slaves'])
/**
 * The most careful answer: the oldest version, the youngest process. One server that loads its data
 * does not make the whole pool "loading": clients would wait for it before they do anything.
 */
const LEAST = new Set([
  'uptime_in_seconds',
  'uptime_in_days',
  'redis_version',
  'rdb_last_save_time',
  'loading',
  'async_loading',
])

/** Whether the request asks for the proxy's sections. @param args with the command's name. */
export function tellsOfProxy(args: readonly string[]): boolean {
  return args.length === 1 || args.slice(1).some(section => /^(?:default|all|everything|proxy|servers)$/i.test(section))
}

export class InfoJoiner extends CollectingJoiner {
  private readonly withProxy: boolean

  constructor(withProxy: boolean) {
    super(true)
    this.withProxy = withProxy
  }

  protected override fits(reply: ReplyValue): boolean {
    return typeof reply === 'string'
  }

  protected override join(writer: ReplyWriter, split: SplitRequest, client: Client): void {
    const { databases, redisDb } = client.pool.config
    const infos = new Map<number, Info>()
    for (const [fragmentIndex, server] of split.serverOfFragment.entries()) {
      const reply = this.replyOf(fragmentIndex)
      if (reply !== undefined) infos.set(server, readInfo(String(reply), databases, redisDb))
    }
    const missing = client.pool.servers.filter(({ index }) => !infos.has(index)).map(({ config }) => config.name)
    const merged = mergeInfos([...infos.values()])
    // The servers count connections of the proxy.
    const clients = merged.get('Clients')
    if (clients?.has('connected_clients')) clients.set('connected_clients', `${client.pool.clientsOverall()}`)
    if (this.withProxy) merged.set('Proxy', proxySection(client))
    // Whatever sections were asked for: the sums are not those of the whole pool.
    if (missing.length > 0) {
      const section = merged.get('Proxy') ?? new Map<string, string>()
      merged.set('Proxy', section.set('proxy_missing_servers', missing.join(',')))
    }
    if (this.withProxy) merged.set('Servers', serversSection(client, infos))
    writer.verbatim([...merged].map(([name, section]) => sectionText(name, section)).join('\r\n'))
  }
}

function sectionText(name: string, section: Section): string {
  return `# ${name}\r\n${[...section].map(([field, value]) => `${field}:${value}\r\n`).join('')}`
}

/**
 * @param databases that the pool shows.
 * @param first the server's database that is the pool's database 0.
 */
function readInfo(text: string, databases: number, first: number): Info {
  const info: Info = new Map()
  let section: Section = new Map()
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    if (line.startsWith('# ')) {
      section = new Map()
      info.set(line.slice(2), section)
    } else if (colon > 0) {
      section.set(line.slice(0, colon), line.slice(colon + 1))
    }
  }
  const keyspace = info.get('Keyspace')
  if (keyspace !== undefined) info.set('Keyspace', shownKeyspace(keyspace, databases, first))
  return info
}

function shownKeyspace(keyspace: Section, databases: number, first: number): Section {
  const shown: Section = new Map()
  for (const [field, value] of keyspace) {
    const database = Number(field.slice('db'.length)) - first
    if (database >= 0 && database < databases) shown.set(`db${database}`, value)
  }
  return shown
}

function mergeInfos(infos: readonly Info[]): Info {
  const merged: Info = new Map()
  for (const info of infos) {
    for (const [name, section] of info) {
      if (!merged.has(name)) merged.set(name, new Map())
      for (const field of section.keys()) merged.get(name)!.set(field, '')
    }
  }
  for (const [name, section] of merged) {
    for (const field of section.keys()) {
      const values = infos.map(info => info.get(name)?.get(field)).filter(value => value !== undefined)
      section.set(field, mergeField(name, field, values))
    }
    addHumanSizes(section)
  }
  const keyspace = merged.get('Keyspace')
  // Each server names the databases in which it has keys.
  if (keyspace !== undefined) merged.set('Keyspace', new Map([...keyspace].sort(byDatabase)))
  return merged
}

function byDatabase([left]: readonly [string, string], [right]: readonly [string, string]): number {
  return Number(left.slice('db'.length)) - Number(right.slice('db'.length))
}

function mergeField(section: string, field: string, values: readonly string[]): string {
  if (values.length === 1) return values[0]
  if (values.every(value => /^\w+=[^,]*(,|$)/.test(value))) return mergePairs(values)
  if (LEAST.has(field)) return [...values].sort(compareVersions)[0]
  const sums = SUMMED_ELSEWHERE.has(field) || (SUMMED_SECTIONS.has(section) && !NOT_SUMMED.test(field))
  if (!sums || !values.every(value => /^-?\d+(?:\.\d+)?$/.test(value))) return values[0]
  const decimals = Math.max(...values.map(value => value.split('.')[1]?.length ?? 0))
  return values.reduce((sum, value) => sum + Number(value), 0).toFixed(decimals)
}

/**
 * `calls=1,usec=2,usec_per_call=2.00`, `keys=1,expires=0,avg_ttl=0`, `count=3`: counts are summed,
 * means are weighed.
 */
function mergePairs(values: readonly string[]): string {
  const all = values.map(value => new Map(value.split(',').map(pair => pair.split('=') as [string, string])))
  const sum = (name: string): number => all.reduce((total, pairs) => total + Number(pairs.get(name) ?? 0), 0)
  return [...all[0]]
    .map(([name, first]) => {
      if (name === 'usec_per_call') return `${name}=${(sum('usec') / Math.max(1, sum('calls'))).toFixed(2)}`
      if (name === 'avg_ttl') {
        const weighed = all.reduce((total, pairs) => total + Number(pairs.get(name)) * Number(pairs.get('expires')), 0)
        return `${name}=${Math.trunc(weighed / Math.max(1, sum('expires')))}`
      }
      return `${name}=${/^\d+$/.test(first) ? sum(name) : first}`
    })
    .join(',')
}

function compareVersions(left: string, right: string): number {
  const [a, b] = [left, right].map(text => text.split('.').map(Number))
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** `used_memory_human` and its like follow from the sums. */
function addHumanSizes(section: Section): void {
  for (const field of section.keys()) {
    const bytes = field.endsWith('_human') ? section.get(field.slice(0, -'_human'.length)) : undefined
    if (bytes !== undefined) section.set(field, humanSize(Number(bytes)))
  }
}

/** As Redis's bytesToHuman. */
function humanSize(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`
  const power = Math.min(5, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** power).toFixed(2)}${' KMGTP'[power]}`
}

function proxySection(client: Client): Section {
  const { pool } = client
  return new Map([
    ['proxy_pool', pool.config.name],
    ['proxy_servers', `${pool.servers.length}`],
    ['proxy_workers', `${pool.context.workers}`],
    ['proxy_clients', `${pool.clientsOverall()}`],
    ['proxy_local_requests', `${poolTotal(client, PoolStat.localRequests)}`],
    ['proxy_undeclared_keys', `${poolTotal(client, PoolStat.undeclaredKeys)}`],
    ['proxy_script_publishes', `${poolTotal(client, PoolStat.scriptPublishes)}`],
  ])
}

/** A counter of the pool over all workers. */
function poolTotal(client: Client, stat: number): number {
  const { pool } = client
  let total = 0
  for (let worker = 0; worker < pool.context.workers; worker++) {
    total += pool.layout.row(pool.shared, worker + 1)[pool.statBase + stat]
  }
  return total
}

/** @param infos by server; those that did not answer are missing. */
function serversSection(client: Client, infos: ReadonlyMap<number, Info>): Section {
  const { pool } = client
  const section: Section = new Map()
  for (const server of pool.servers) {
    const info = infos.get(server.index)
    const version = info?.get('Server')?.get('redis_version')
    const keyspace = [...(info?.get('Keyspace')?.values() ?? [])]
    const parts = [
      `name=${server.config.name}`,
      `address=${server.config.path === '' ? `${server.config.host}:${server.config.port}` : server.config.path}`,
      `state=${server.health.isEjected ? 'ejected' : info === undefined ? 'missing' : 'up'}`,
      `connections=${server.row[server.statBase + ServerStat.connections]}`,
      ...(version === undefined ? [] : [`version=${version}`]),
      ...(keyspace.length === 0 ? [] : [mergePairs(keyspace)]),
    ]
    section.set(`server${server.index}`, parts.join(','))
  }
  return section
}
