/**
 * CLIENT subcommands about the clients of all workers: LIST, KILL, UNBLOCK, PAUSE, UNPAUSE; and
 * INFO, which shows one of them. Data plane, for rare requests. Words of errors are Redis's.
 */

import { encodeText } from '../../../bytes/ascii.ts'
import * as replies from '../../../protocol/redis/replies.ts'
import { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import type { ClientFilter, ClientLine, WorkerAnswer, WorkerQuestion } from '../../../shared/questions.ts'
import { PoolStat } from '../../../shared/stat-fields.ts'
import type { Client } from '../../client/client.ts'
import { answerLocally } from '../../request/delivery.ts'
import { CloseReason } from '../../request/reply-target.ts'
import { type VersionOwner, withVersion } from '../servers/server-version.ts'
import { sessionOf } from '../session/session.ts'
import { type CurrentRequest, clientsThatFit, describeClient, EVERY_CLIENT } from './client-list.ts'
import { askWorkers } from './pool-questions.ts'

const TOO_MANY_QUESTIONS = replies.errorLine('too many commands to all workers are in flight')
const BAD_ID = replies.errorLine('client-id should be greater than 0')
const BAD_LIST_ID = replies.errorLine('Invalid client ID')
const NO_SUCH_CLIENT = replies.errorLine('No such client')
const BAD_MODE = replies.errorLine('CLIENT PAUSE mode must be WRITE or ALL')
const BAD_TIMEOUT = replies.errorLine('timeout is not an integer or out of range')
const NEGATIVE_TIMEOUT = replies.errorLine('timeout is negative')
const BAD_REASON = replies.errorLine('CLIENT UNBLOCK reason should be TIMEOUT or ERROR')

/** Redis's client types. A proxy has no masters and no replicas. */
const TYPES: ReadonlyMap<string, ClientFilter['type']> = new Map([
  ['normal', 'normal'],
  ['pubsub', 'pubsub'],
  ['master', 'other'],
  ['replica', 'other'],
  ['slave', 'other'],
] as const)

/**
 * Answers or asks the workers, and returns null; or returns the error. `args` begin after the
 * subcommand's name.
 */
type WideCommand = (owner: VersionOwner, current: CurrentRequest, args: readonly string[]) => Uint8Array | null

/** With their arity: arguments with CLIENT and the subcommand, negative = at least. */
const COMMANDS: ReadonlyMap<string, readonly [arity: number, run: WideCommand]> = new Map([
  ['INFO', [2, info]],
  ['LIST', [-2, list]],
  ['KILL', [-3, kill]],
  ['PAUSE', [-3, pause]],
  ['UNBLOCK', [-3, unblock]],
  ['UNPAUSE', [2, unpause]],
] as const)

/**
 * Handles a CLIENT request.
 * @param args all of it.
 * @returns false when the subcommand is another one.
 */
export function wideCommand(
  owner: VersionOwner,
  client: Client,
  args: readonly string[],
  requestBytes: number,
): boolean {
  const name = args[1].toUpperCase()
  const known = COMMANDS.get(name)
  if (known === undefined) return false
  const [arity, run] = known
  client.pool.row[client.pool.statBase + PoolStat.localRequests]++
  if (arity >= 0 ? args.length !== arity : args.length < -arity) {
    client.pool.row[client.pool.statBase + PoolStat.clientErr]++
    answerLocally(client, replies.wrongArguments(`CLIENT|${name}`))
    return true
  }
  const current = { client, command: `client|${name.toLowerCase()}`, bytes: requestBytes, give: null }
  const reply = run(owner, current, args.slice(2))
  if (reply !== null) answerLocally(client, reply)
  return true
}

/**
 * @returns the arity of a subcommand that is handled here; undefined = it is none of them.
 * @param name upper case.
 */
export function wideArity(name: string): number | undefined {
  return COMMANDS.get(name)?.[0]
}

/**
 * Runs such a command within EXEC. The version of the servers must be known.
 * @param give gets the reply, at once or later.
 */
export function runWide(
  owner: VersionOwner,
  client: Client,
  args: readonly string[],
  give: (reply: Uint8Array) => void,
): void {
  const [, run] = COMMANDS.get(args[1].toUpperCase())!
  const reply = run(owner, { client, command: 'exec', bytes: 0, give }, args.slice(2))
  if (reply !== null) give(reply)
}

function info(owner: VersionOwner, current: CurrentRequest): null {
  const { client } = current
  withVersion(owner, client, version => {
    const give = current.give ?? ((reply: Uint8Array): void => answerLocally(client, reply))
    give(new ReplyWriter(client.resp3).verbatim(`${describeClient(client, version, current)}\n`).bytes())
  })
  return null
}

/** CLIENT LIST [TYPE type] [ID id …] */
function list(owner: VersionOwner, current: CurrentRequest, args: readonly string[]): Uint8Array | null {
  const { client } = current
  const filter = readListFilter(args)
  if (filter instanceof Uint8Array) return filter
  withVersion(owner, client, version => {
    const question: WorkerQuestion = { kind: 'list-clients', pool: client.pool.config.name, filter, version }
    askWorkers(current, question, answers => listReply(client, answers), TOO_MANY_QUESTIONS)
  })
  return null
}

function listReply(client: Client, answers: readonly WorkerAnswer[]): Uint8Array {
  const lines = (answers.filter(answer => Array.isArray(answer)) as ClientLine[][]).flat()
  lines.sort((left, right) => left.id - right.id)
  return new ReplyWriter(client.resp3).verbatim(lines.map(({ text }) => `${text}\n`).join('')).bytes()
}

function readListFilter(args: readonly string[]): ClientFilter | Uint8Array {
  const option = args[0]?.toUpperCase()
  if (option === undefined) return EVERY_CLIENT
  if (option === 'TYPE' && args.length === 2) {
    const type = TYPES.get(args[1].toLowerCase())
    return type === undefined ? unknownType(args[1]) : { ...EVERY_CLIENT, type }
  }
  if (option !== 'ID' || args.length === 1) return replies.SYNTAX_ERROR
  const ids = args.slice(1)
  return ids.every(isInteger) ? { ...EVERY_CLIENT, ids: ids.map(Number) } : BAD_LIST_ID
}

function isInteger(text: string): boolean {
  return /^(?:0|-?[1-9]\d{0,15})$/.test(text)
}

function unknownType(type: string): Uint8Array {
  return replies.errorLine(`Unknown client type '${shown(type)}'`)
}

function shown(text: string): string {
  return text.slice(0, 128).replace(/[\r\n]/g, ' ')
}

/** CLIENT KILL address answers OK; with filters it answers a number. */
function kill(_owner: VersionOwner, current: CurrentRequest, args: readonly string[]): Uint8Array | null {
  const { client } = current
  const byAddress = args.length === 1
  const filter = byAddress ? { ...EVERY_CLIENT, address: args[0] } : readKillFilter(client, args)
  if (filter instanceof Uint8Array) return filter
  const endsItself = clientsThatFit(client.poolClients, filter).includes(client)
  const question: WorkerQuestion = { kind: 'kill-clients', pool: client.pool.config.name, filter }
  const combine = (answers: readonly WorkerAnswer[]): Uint8Array => {
    const killed = sumOf(answers)
    if (byAddress) return killed > 0 ? replies.OK : NO_SUCH_CLIENT
    return encodeText(`:${killed}\r\n`)
  }
  askWorkers(current, question, combine, TOO_MANY_QUESTIONS)
  if (endsItself) client.closeAfterReplies(CloseReason.eof)
  return null
}

function readKillFilter(client: Client, args: readonly string[]): ClientFilter | Uint8Array {
  if (args.length % 2 !== 0) return replies.SYNTAX_ERROR
  const own = sessionOf(client).id
  let filter: ClientFilter = { ...EVERY_CLIENT, exceptId: own }
  for (let i = 0; i < args.length; i += 2) {
    const read = KILL_FILTERS.get(args[i].toUpperCase())
    const change = read === undefined ? replies.SYNTAX_ERROR : read(args[i + 1], own)
    if (change instanceof Uint8Array) return change
    filter = { ...filter, ...change }
  }
  return filter
}

type ReadFilter = (value: string, own: number) => Partial<ClientFilter> | Uint8Array

const KILL_FILTERS: ReadonlyMap<string, ReadFilter> = new Map<string, ReadFilter>([
  ['ID', value => (/^[1-9]\d{0,15}$/.test(value) ? { ids: [Number(value)] } : BAD_ID)],
  ['TYPE', value => typeFilter(value)],
  ['ADDR', value => ({ address: value })],
  ['LADDR', value => ({ localAddress: value })],
  // Every client of a pool is the default user.
  ['USER', value => (value === 'default' ? {} : replies.errorLine(`No such user '${shown(value)}'`))],
  ['MAXAGE', value => (/^[1-9]\d{0,9}$/.test(value) ? { minAgeSec: Number(value) } : replies.NOT_AN_INTEGER)],
  ['SKIPME', (value, own) => skipMe(value.toLowerCase(), own)],
])

function typeFilter(value: string): Partial<ClientFilter> | Uint8Array {
  const type = TYPES.get(value.toLowerCase())
  return type === undefined ? unknownType(value) : { type }
}

function skipMe(value: string, own: number): Partial<ClientFilter> | Uint8Array {
  if (value !== 'yes' && value !== 'no') return replies.SYNTAX_ERROR
  return { exceptId: value === 'yes' ? own : null }
}

/** CLIENT UNBLOCK id [TIMEOUT | ERROR] */
function unblock(_owner: VersionOwner, current: CurrentRequest, args: readonly string[]): Uint8Array | null {
  const [id, reason = 'TIMEOUT'] = args
  if (args.length > 2) return replies.wrongSubcommandArguments('CLIENT', 'UNBLOCK')
  if (!/^(?:TIMEOUT|ERROR)$/i.test(reason)) return BAD_REASON
  if (!isInteger(id)) return replies.NOT_AN_INTEGER
  const { pool } = current.client
  const question: WorkerQuestion = {
    kind: 'unblock-client',
    pool: pool.config.name,
    id: Number(id),
    withError: reason.toUpperCase() === 'ERROR',
  }
  askWorkers(current, question, answers => encodeText(`:${sumOf(answers)}\r\n`), TOO_MANY_QUESTIONS)
  return null
}

/** CLIENT PAUSE milliseconds [WRITE | ALL] */
function pause(_owner: VersionOwner, current: CurrentRequest, args: readonly string[]): Uint8Array | null {
  const [timeout, mode = 'ALL'] = args
  if (args.length > 2) return replies.wrongSubcommandArguments('CLIENT', 'PAUSE')
  if (!/^(?:WRITE|ALL)$/i.test(mode)) return BAD_MODE
  if (!/^(?:0|-?[1-9]\d{0,15})$/.test(timeout)) return BAD_TIMEOUT
  if (Number(timeout) < 0) return NEGATIVE_TIMEOUT
  const untilMs = Date.now() + Number(timeout)
  askPause(current, untilMs, mode.toUpperCase() === 'WRITE')
  return null
}

function unpause(_owner: VersionOwner, current: CurrentRequest): null {
  askPause(current, 0, false)
  return null
}

function askPause(current: CurrentRequest, untilMs: number, writesOnly: boolean): void {
  const question: WorkerQuestion = { kind: 'pause', pool: current.client.pool.config.name, untilMs, writesOnly }
  askWorkers(current, question, () => replies.OK, TOO_MANY_QUESTIONS)
}

function sumOf(answers: readonly WorkerAnswer[]): number {
  return answers.reduce<number>((sum, answer) => sum + (typeof answer === 'number' ? answer : 0), 0)
}
