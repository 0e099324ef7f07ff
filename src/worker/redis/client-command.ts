/** CLIENT and its subcommands: what a connection is told and tells of itself. Data plane. Clients of other workers are not known here. */

import { encodeText } from '../../bytes/ascii.ts'
import * as replies from '../../protocol/redis/replies.ts'
import { ReplyWriter } from '../../protocol/redis/reply-writer.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'
import { CloseReason } from '../request/reply-target.ts'
import { argumentTexts } from './broadcast.ts'
import type { RedisProtocol } from './redis-protocol.ts'
import type { RedisSession } from './session.ts'
import { isClientText, NAME_REFUSED, ReplyMode, settle, stateOf } from './state.ts'

const NO_CACHING = encodeText(
  '-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled\r\n',
)
const NOT_OWN = encodeText('-ERR a client can end its own connection only, through a proxy\r\n')

/** A subcommand. `args` begin after its name. */
type Subcommand = (client: Client, args: readonly string[]) => Uint8Array

/** With their arity: arguments with CLIENT and the subcommand, negative = at least. */
const SUBCOMMANDS: ReadonlyMap<string, readonly [arity: number, run: Subcommand]> = new Map([
  ['ID', [2, client => integer(stateOf(client).id)]],
  ['GETNAME', [2, getName]],
  ['SETNAME', [3, setName]],
  ['SETINFO', [4, setInfo]],
  ['INFO', [2, client => new ReplyWriter(client.resp3).verbatim(`${describe(client, 'client|info')}\n`).bytes()]],
  ['LIST', [-2, list]],
  ['KILL', [-3, kill]],
  ['UNPAUSE', [2, () => replies.OK]],
  ['NO-EVICT', [3, onOff]],
  ['NO-TOUCH', [3, onOff]],
  ['GETREDIR', [2, () => integer(-1)]],
  ['TRACKING', [-3, tracking]],
  ['TRACKINGINFO', [2, trackingInfo]],
  ['CACHING', [3, () => NO_CACHING]],
] as const)

/** They would act on clients that the server sees as one, or on other workers'. */
const UNSUPPORTED = new Set(['PAUSE', 'UNBLOCK'])

export function clientCommand(
  protocol: RedisProtocol,
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  const args = argumentTexts(parser, buf)
  const name = args[1].toUpperCase()
  if (name === 'HELP') {
    protocol.forwardKeyless(client, parser, buf)
    return
  }
  if (name === 'REPLY') {
    reply(protocol, client, args)
    return
  }
  const known = SUBCOMMANDS.get(name)
  if (UNSUPPORTED.has(name)) {
    protocol.answer(client, replies.unsupportedCommand(`CLIENT|${name}`))
  } else if (known === undefined) {
    protocol.answer(client, replies.unknownSubcommand('CLIENT', args[1]))
  } else if (known[0] >= 0 ? args.length !== known[0] : args.length < -known[0]) {
    protocol.answer(client, replies.wrongArguments(`CLIENT|${name}`))
  } else {
    const killed = name === 'KILL'
    const bytes = known[1](client, args.slice(2))
    protocol.answer(client, bytes)
    if (killed && bytes[0] !== MINUS && bytes[1] !== ZERO) client.closeAfterReplies(CloseReason.eof)
  }
}

const MINUS = 45
const ZERO = 48

function integer(value: number): Uint8Array {
  return encodeText(`:${value}\r\n`)
}

function getName(client: Client): Uint8Array {
  const writer = new ReplyWriter(client.resp3)
  const { name } = stateOf(client)
  return (name === '' ? writer.null() : writer.bulk(name)).bytes()
}

function setName(client: Client, [name]: readonly string[]): Uint8Array {
  if (!isClientText(name)) return NAME_REFUSED
  stateOf(client).name = name
  return replies.OK
}

function setInfo(client: Client, [attribute, value]: readonly string[]): Uint8Array {
  const state = stateOf(client)
  const name = attribute.toUpperCase()
  if (name !== 'LIB-NAME' && name !== 'LIB-VER') {
    return replies.errorLine(`Unrecognized option '${attribute.replace(/[\r\n]/g, ' ')}'`)
  }
  if (!isClientText(value)) {
    return replies.errorLine(`${name.toLowerCase()} cannot contain spaces, newlines or special characters.`)
  }
  if (name === 'LIB-NAME') state.library = value
  else state.libraryVersion = value
  return replies.OK
}

/** One client in the words of CLIENT LIST, 0 where the proxy has no such thing. @param command what it does at the moment. */
function describe(client: Client, command: string): string {
  const { pool } = client
  const { nowMs } = pool.context.turn
  const state = stateOf(client)
  const session = client.session as RedisSession | null
  const inTransaction = session?.transaction?.open === true
  const flags = inTransaction ? 'x' : session?.endless === true ? 'b' : isSubscribed(client) ? 'P' : 'N'
  return (
    `id=${state.id} addr=${client.address} laddr=${pool.config.listen.text} fd=-1 name=${state.name} ` +
    `age=${Math.trunc((nowMs - client.openedMs) / 1000)} idle=${Math.trunc((nowMs - client.activeMs) / 1000)} flags=${flags} db=0 ` +
    `sub=0 psub=0 ssub=0 multi=${inTransaction ? 0 : -1} qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 ` +
    `oll=${client.pending} omem=${client.heldBytes} tot-mem=0 events=r cmd=${command} user=default redir=-1 ` +
    `resp=${client.resp3 ? 3 : 2} lib-name=${state.library} lib-ver=${state.libraryVersion}`
  )
}

/** CLIENT LIST [TYPE type] [ID id …]: the pool's clients in this worker. */
function list(client: Client, args: readonly string[]): Uint8Array {
  const option = args[0]?.toUpperCase()
  let clients = [...client.poolClients.members]
  if (option === 'TYPE' && args.length === 2) {
    const type = args[1].toLowerCase()
    if (!/^(normal|pubsub|master|replica|slave)$/.test(type)) return replies.errorLine(`Unknown client type '${type}'`)
    const wantsSubscribed = type === 'pubsub'
    clients = type === 'normal' || wantsSubscribed ? clients.filter(each => isSubscribed(each) === wantsSubscribed) : []
  } else if (option === 'ID' && args.length > 1) {
    const ids = args.slice(1)
    if (ids.some(id => !/^[1-9]\d{0,17}$/.test(id))) return replies.errorLine('Invalid client ID')
    clients = clients.filter(each => ids.includes(`${stateOf(each).id}`))
  } else if (args.length > 0) {
    return replies.SYNTAX_ERROR
  }
  return new ReplyWriter(client.resp3)
    .verbatim(clients.map(each => `${describe(each, each === client ? 'client|list' : 'NULL')}\n`).join(''))
    .bytes()
}

function isSubscribed(client: Client): boolean {
  return (client.session as RedisSession | null)?.subscribed === true
}

/** CLIENT KILL address, or with filters: of the client itself only. */
function kill(client: Client, args: readonly string[]): Uint8Array {
  if (args.length === 1) return args[0] === client.address ? replies.OK : NOT_OWN
  if (args.length % 2 !== 0) return replies.SYNTAX_ERROR
  let own = false
  let skipsItself = true
  for (let i = 0; i < args.length; i += 2) {
    const value = args[i + 1]
    switch (args[i].toUpperCase()) {
      case 'ID':
        own = value === `${stateOf(client).id}`
        if (!own) return NOT_OWN
        break
      case 'ADDR':
        own = value === client.address
        if (!own) return NOT_OWN
        break
      case 'SKIPME':
        if (!/^(yes|no)$/i.test(value)) return replies.SYNTAX_ERROR
        skipsItself = value.toLowerCase() === 'yes'
        break
      default:
        return NOT_OWN
    }
  }
  return own ? integer(skipsItself ? 0 : 1) : NOT_OWN
}

/** A hint for the server's memory, which the proxy's connections do not pass on. */
function onOff(_client: Client, [value]: readonly string[]): Uint8Array {
  return /^(on|off)$/i.test(value) ? replies.OK : replies.SYNTAX_ERROR
}

function tracking(_client: Client, [value]: readonly string[]): Uint8Array {
  if (value.toUpperCase() === 'OFF') return replies.OK
  return value.toUpperCase() === 'ON' ? replies.unsupportedCommand('CLIENT|TRACKING') : replies.SYNTAX_ERROR
}

function trackingInfo(client: Client): Uint8Array {
  const writer = new ReplyWriter(client.resp3).map(3).bulk('flags').set(1).bulk('off')
  return writer.bulk('redirect').integer(-1).bulk('prefixes').array(0).bytes()
}

function reply(protocol: RedisProtocol, client: Client, args: readonly string[]): void {
  const mode = args.length === 3 ? args[2].toUpperCase() : ''
  if (mode === '') {
    protocol.answer(client, replies.wrongArguments('CLIENT|REPLY'))
    return
  }
  const state = stateOf(client)
  if (mode === 'ON') {
    state.replyMode = ReplyMode.on
    settle(client, client.authenticated)
    protocol.answer(client, replies.OK)
  } else if (mode === 'OFF' || mode === 'SKIP') {
    if (mode === 'OFF' || state.replyMode === ReplyMode.on) state.replyMode = ReplyMode[mode === 'OFF' ? 'off' : 'skip']
    settle(client, client.authenticated)
  } else {
    protocol.answer(client, replies.SYNTAX_ERROR)
  }
}
