/** CLIENT and its subcommands. Data plane. Those about clients of all workers: `client-wide.ts`. */

import { encodeText } from '../../bytes/ascii.ts'
import * as replies from '../../protocol/redis/replies.ts'
import { ReplyWriter } from '../../protocol/redis/reply-writer.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'
import { argumentTexts } from './broadcast.ts'
import { wideCommand } from './client-wide.ts'
import type { RedisProtocol } from './redis-protocol.ts'
import { isClientText, NAME_REFUSED, ReplyMode, settle, stateOf } from './state.ts'

const NO_CACHING = encodeText(
  '-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled\r\n',
)

/** A subcommand. `args` begin after its name. */
type Subcommand = (client: Client, args: readonly string[]) => Uint8Array

/** With their arity: arguments with CLIENT and the subcommand, negative = at least. */
const SUBCOMMANDS: ReadonlyMap<string, readonly [arity: number, run: Subcommand]> = new Map([
  ['ID', [2, client => integer(stateOf(client).id)]],
  ['GETNAME', [2, getName]],
  ['SETNAME', [3, setName]],
  ['SETINFO', [4, setInfo]],
  ['NO-EVICT', [3, onOff]],
  ['NO-TOUCH', [3, onOff]],
  ['GETREDIR', [2, () => integer(-1)]],
  ['TRACKING', [-3, tracking]],
  ['TRACKINGINFO', [2, trackingInfo]],
  ['CACHING', [3, () => NO_CACHING]],
] as const)

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
  if (wideCommand(protocol, client, args, parser.end - parser.start)) return
  const known = SUBCOMMANDS.get(name)
  if (known === undefined) {
    protocol.answerRefused(client, replies.unknownSubcommand('CLIENT', args[1]))
  } else if (known[0] >= 0 ? args.length !== known[0] : args.length < -known[0]) {
    protocol.answerRefused(client, replies.wrongArguments(`CLIENT|${name}`))
  } else {
    protocol.answer(client, known[1](client, args.slice(2)))
  }
}

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
    protocol.answerRefused(client, replies.wrongArguments('CLIENT|REPLY'))
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
