/**
 * CLIENT subcommands about the own connection: SETNAME, SETINFO, ID and so on. Data plane, for rare
 * requests.
 */

import { encodeText } from '../../../bytes/ascii.ts'
import * as replies from '../../../protocol/redis/replies.ts'
import { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import type { Client } from '../../client/client.ts'
import { isClientText, NAME_REFUSED } from '../session/client-text.ts'
import { sessionOf } from '../session/session.ts'

const NO_CACHING = encodeText(
  '-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled\r\n',
)

/** A subcommand. `args` begin after its name. */
type Subcommand = (client: Client, args: readonly string[]) => Uint8Array

/** With their arity: arguments with CLIENT and the subcommand, negative = at least. */
const SUBCOMMANDS: ReadonlyMap<string, readonly [arity: number, run: Subcommand]> = new Map([
  ['ID', [2, client => integer(sessionOf(client).id)]],
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

/**
 * @returns the arity of a subcommand that is answered here; undefined = it is none of them.
 * @param name upper case.
 */
export function ownArity(name: string): number | undefined {
  return SUBCOMMANDS.get(name)?.[0]
}

/** Runs such a command. @returns its reply. */
export function ownClientReply(client: Client, args: readonly string[]): Uint8Array {
  return SUBCOMMANDS.get(args[1].toUpperCase())![1](client, args.slice(2))
}

function integer(value: number): Uint8Array {
  return encodeText(`:${value}\r\n`)
}

function getName(client: Client): Uint8Array {
  const writer = new ReplyWriter(client.resp3)
  const { name } = sessionOf(client)
  return (name === '' ? writer.null() : writer.bulk(name)).bytes()
}

function setName(client: Client, [name]: readonly string[]): Uint8Array {
  if (!isClientText(name)) return NAME_REFUSED
  sessionOf(client).name = name
  return replies.OK
}

function setInfo(client: Client, [attribute, value]: readonly string[]): Uint8Array {
  const session = sessionOf(client)
  const name = attribute.toUpperCase()
  if (name !== 'LIB-NAME' && name !== 'LIB-VER') {
    return replies.errorLine(`Unrecognized option '${attribute.replace(/[\r\n]/g, ' ')}'`)
  }
  if (!isClientText(value)) {
    return replies.errorLine(`${name.toLowerCase()} cannot contain spaces, newlines or special characters.`)
  }
  if (name === 'LIB-NAME') session.library = value
  else session.libraryVersion = value
  return replies.OK
}

/**
 * NO-EVICT and NO-TOUCH are hints about the server's memory. The proxy does not forward them:
 * clients share connections.
 */
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
