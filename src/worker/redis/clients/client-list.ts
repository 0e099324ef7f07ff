/**
 * Describes the clients of a pool in this worker as CLIENT LIST does, and finds those that a filter
 * selects. Data plane, for rare requests.
 */

import type { ClientFilter, ClientLine } from '../../../shared/questions.ts'
import type { Client } from '../../client/client.ts'
import { Phase } from '../../client/client-phase.ts'
import type { PoolClients } from '../../client/pool-clients.ts'
import { knownSession, type RedisSession, sessionOf, Topic } from '../session/session.ts'

/** Selects every client. */
export const EVERY_CLIENT: ClientFilter = {
  ids: null,
  type: null,
  address: null,
  localAddress: null,
  minAgeSec: null,
  exceptId: null,
}

/**
 * Fields that not every Redis has, and its first version with them: 7.2.4 is 70204. Source:
 * `catClientInfoString` of each version.
 */
const SINCE: ReadonlyMap<string, number> = new Map([
  ['laddr', 60200],
  ['ssub', 70000],
  ['watch', 70400],
  ['argv-mem', 60000],
  ['multi-mem', 70000],
  ['rbs', 70000],
  ['rbp', 70000],
  ['tot-mem', 60000],
  ['user', 60000],
  ['redir', 60200],
  ['resp', 70000],
  ['lib-name', 70200],
  ['lib-ver', 70200],
  ['io-thread', 80000],
])

/** `7.2.4` as 70204; 0 where it is no version. */
function versionNumber(version: string): number {
  const [, major, minor, patch] = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(version) ?? ['', '0', '0', '0']
  return Number(major) * 10_000 + Number(minor) * 100 + Number(patch ?? 0)
}

/** The request that asks for the list: the client's own line shows it. */
export interface CurrentRequest {
  readonly client: Client
  /** As Redis shows it: `client|list`. */
  readonly command: string
  readonly bytes: number
  /** Gets the reply where it is part of EXEC's reply; null = it answers the request. */
  readonly give: ((reply: Uint8Array) => void) | null
}

/**
 * @returns one client as a line without its end.
 * @param version of the servers: fields that this version does not have are left out.
 */
export function describeClient(client: Client, version: string, current: CurrentRequest | null): string {
  const number = versionNumber(version)
  const shown = fieldsOf(client, current).filter(([name]) => (SINCE.get(name) ?? 0) <= number)
  return shown.map(([name, value]) => `${name}=${value}`).join(' ')
}

function fieldsOf(client: Client, current: CurrentRequest | null): [string, string | number][] {
  const { socket } = client
  const { turn, workerIndex } = client.pool.context
  const session = sessionOf(client)
  const input = client.input.tail
  const isCurrent = current?.client === client
  const transaction = session.transaction
  const inputBytes = (input?.length ?? 0) + (isCurrent && input === null ? current.bytes : 0)
  return [
    ['id', session.id],
    ['addr', shownAddress(client)],
    ['laddr', localAddress(client)],
    ['fd', socket.handle?.fd ?? -1],
    ['name', session.name],
    ['age', secondsBetween(client.openedMs, turn.nowMs)],
    ['idle', secondsBetween(client.activeMs, turn.nowMs)],
    ['flags', flagsOf(client, session)],
    ['db', client.database],
    ['sub', session.subscriptionsOf(Topic.channel)],
    ['psub', session.subscriptionsOf(Topic.pattern)],
    ['ssub', session.subscriptionsOf(Topic.shard)],
    ['multi', transaction?.open === true ? transaction.requests : -1],
    ['watch', transaction?.watchedKeys ?? 0],
    ['qbuf', inputBytes],
    ['qbuf-free', input === null ? 0 : input.buf.length - input.length],
    ['argv-mem', 0],
    ['multi-mem', transaction?.keptBytes ?? 0],
    ['rbs', 0],
    ['rbp', 0],
    ['obl', socket.outLength],
    ['oll', socket.queue.length],
    ['omem', socket.queuedBytes + client.heldBytes],
    ['tot-mem', client.memoryBytes],
    ['events', socket.queuedBytes > 0 ? (socket.reading ? 'rw' : 'w') : 'r'],
    ['cmd', isCurrent ? current.command : (session.blocking?.command ?? 'NULL')],
    ['user', 'default'],
    ['redir', -1],
    ['resp', client.resp3 ? 3 : 2],
    ['lib-name', session.library],
    ['lib-ver', session.libraryVersion],
    ['io-thread', workerIndex],
  ]
}

function secondsBetween(fromMs: number, toMs: number): number {
  return Math.trunc((toMs - fromMs) / 1000)
}

/** @returns Redis's letters. A client of a proxy can never have the others. */
function flagsOf(client: Client, session: RedisSession): string {
  const { path } = client.pool.config.listen
  const letters = [
    session.monitoring != null ? 'O' : '',
    session.subscribed === true ? 'P' : '',
    session.transaction?.open === true ? 'x' : '',
    session.blocking != null ? 'b' : '',
    client.ending ? 'c' : '',
    path === '' ? '' : 'U',
  ].join('')
  return letters === '' ? 'N' : letters
}

/** A client of a unix socket has no address; Redis then shows the socket's path and port 0. */
function shownAddress(client: Client): string {
  return client.address.startsWith('/') ? `${client.address}:0` : client.address
}

function localAddress(client: Client): string {
  const { listen } = client.pool.config
  return listen.path === '' ? listen.text : `${listen.path}:0`
}

/**
 * @returns the clients that a filter selects. A client whose connection is only waiting for its
 * peer to close does not count.
 */
export function clientsThatFit(clients: PoolClients, filter: ClientFilter): Client[] {
  const { nowMs } = clients.pool.context.turn
  return [...clients.members].filter(client => {
    if (client.phase >= Phase.lingering) return false
    const { ids, type, address, localAddress: local, minAgeSec, exceptId } = filter
    const { id } = sessionOf(client)
    if (id === exceptId || (ids !== null && !ids.includes(id))) return false
    if (type !== null && type !== typeOf(client)) return false
    if (address !== null && address !== shownAddress(client)) return false
    if (local !== null && local !== localAddress(client)) return false
    return minAgeSec === null || secondsBetween(client.openedMs, nowMs) >= minAgeSec
  })
}

function typeOf(client: Client): ClientFilter['type'] {
  return knownSession(client)?.subscribed === true ? 'pubsub' : 'normal'
}

export function clientLines(
  clients: PoolClients,
  filter: ClientFilter,
  version: string,
  current: CurrentRequest | null,
): ClientLine[] {
  return clientsThatFit(clients, filter).map(client => ({
    id: sessionOf(client).id,
    text: describeClient(client, version, current),
  }))
}
