/**
 * Replies that the proxy itself writes to Redis clients, encoded once. Data plane. Texts:
 * nutcracker's, or Redis's own where it has none.
 */

import { CR, encodeText, LF } from '../../bytes/ascii.ts'
import { argEnd, argStart, type ParsedArguments } from './arguments.ts'
import { Action, type Command } from './commands.ts'
import { FrameError } from './request-parser.ts'

export const PONG = encodeText('+PONG\r\n')
export const OK = encodeText('+OK\r\n')
export const NOAUTH = encodeText('-NOAUTH Authentication required\r\n')
export const INVALID_PASSWORD = encodeText('-ERR invalid password\r\n')
export const NO_PASSWORD_SET = encodeText('-ERR Client sent AUTH, but no password is set\r\n')
export const WRONG_PASS = encodeText('-WRONGPASS invalid username-password pair or user is disabled.\r\n')
export const SYNTAX_ERROR = encodeText('-ERR syntax error\r\n')
export const NOT_AN_INTEGER = encodeText('-ERR value is not an integer or out of range\r\n')
export const NO_CLUSTER = encodeText('-ERR This instance has cluster support disabled\r\n')
export const DB_OUT_OF_RANGE = encodeText('-ERR DB index is out of range\r\n')
export const QUEUE_FULL = encodeText('-ERR server queue is full\r\n')
export const SCRIPT_WITHOUT_KEYS = encodeText(
  '-ERR a script without keys runs on one server and could use keys of any: pass its keys in KEYS, or use a pool of one server\r\n',
)
export const UNDECLARED_KEYS = encodeText(
  '-ERR the script uses keys that it does not declare, and other servers may have them: pass all of them in KEYS (undeclared_keys: refuse)\r\n',
)
export const NO_SCRIPT = encodeText('-NOSCRIPT No matching script. Please use EVAL.\r\n')
export const CONFIG_SET_REFUSED = encodeText(
  '-ERR CONFIG SET, RESETSTAT and REWRITE need config_set: true in this pool\r\n',
)
export const UNBALANCED_QUOTES = encodeText('-ERR Protocol error: unbalanced quotes in request\r\n')

/** What Redis says of names that are too long to repeat. */
const ECHOED_BYTES = 128

/** Bytes [start, end) of a request as an error repeats them: at most `ECHOED_BYTES` of them. */
function echoed(buf: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let i = start; i < end && i < start + ECHOED_BYTES; i++) {
    const byte = buf[i]
    // Redis shows what it was sent as C strings.
    if (byte === 0) break
    // Line ends would forge a reply; Redis writes spaces for them too.
    text += byte === CR || byte === LF ? ' ' : String.fromCharCode(byte)
  }
  return text
}

/** `-ERR unknown command …`, in Redis 7's words. */
export function unknownCommand(request: ParsedArguments, buf: Uint8Array): Uint8Array {
  let text = `-ERR unknown command '${echoed(buf, argStart(request, 0), argEnd(request, 0))}', with args beginning with: `
  let room = ECHOED_BYTES
  for (let i = 1; i < request.argCount && room > 0; i++) {
    const argument = echoed(buf, argStart(request, i), argEnd(request, i)).slice(0, room)
    text += `'${argument}' `
    room -= argument.length + 3
  }
  return encodeText(`${text}\r\n`)
}

/** @param name the command's name, upper case. */
export function wrongArguments(name: string): Uint8Array {
  return encodeText(`-ERR wrong number of arguments for '${name.toLowerCase()}' command\r\n`)
}

/** @param container upper case. */
export function unknownSubcommand(container: string, name: string): Uint8Array {
  const shown = name
    .split('\0', 1)[0]
    .slice(0, ECHOED_BYTES)
    .replace(/[\r\n]/g, ' ')
  return encodeText(`-ERR unknown subcommand '${shown}'. Try ${container} HELP.\r\n`)
}

/** Redis's words where a subcommand checks its arguments itself. @param container upper case. */
export function wrongSubcommandArguments(container: string, name: string): Uint8Array {
  return encodeText(`-ERR unknown subcommand or wrong number of arguments for '${name}'. Try ${container} HELP.\r\n`)
}

/** For a command that Redis has and the proxy does not pass on. @param name upper case. */
export function unsupportedCommand(name: string): Uint8Array {
  return encodeText(`-ERR unsupported command '${name.toLowerCase()}'\r\n`)
}

/** For a command that the proxy never passes on, or not in this pool. */
export function deniedCommand({ action, name }: Command): Uint8Array {
  return action === Action.unroutable ? unroutableCommand(name) : unsupportedCommand(name)
}

/**
 * For a command that the servers have, and of which they do not say where its keys are.
 * @param name upper case.
 */
function unroutableCommand(name: string): Uint8Array {
  return encodeText(
    `-ERR the proxy cannot determine which server has the keys of '${name.toLowerCase()}': use a pool of one server\r\n`,
  )
}

/** For a command that only the servers could know, and none has told. */
export function unlearnedCommand(request: ParsedArguments, buf: Uint8Array): Uint8Array {
  const name = echoed(buf, argStart(request, 0), argEnd(request, 0))
  return encodeText(
    `-ERR the proxy does not know the command '${name}', and no server of the pool has answered COMMAND\r\n`,
  )
}

/** Redis Cluster's words, as far as they fit. @param option BY or GET. */
export function sortDenied(option: string): Uint8Array {
  return encodeText(
    `-ERR ${option} option of SORT denied when keys formed by the pattern may be in different servers.\r\n`,
  )
}

/** @param limit largest length of a routing key, bytes. */
export function keyTooLong(bytes: number, limit: number): Uint8Array {
  return encodeText(`-ERR key of ${bytes} bytes is longer than the limit of ${limit}\r\n`)
}

/** `-ERR <text>\r\n`. */
export function errorLine(text: string): Uint8Array {
  return encodeText(`-ERR ${text}\r\n`)
}

/** Redis's protocol errors. @param byte the offending byte, for `expectedDollar`. */
export function frameError(error: number, byte: number): Uint8Array {
  switch (error) {
    case FrameError.multibulkLength:
      return errorLine('Protocol error: invalid multibulk length')
    case FrameError.bulkLength:
      return errorLine('Protocol error: invalid bulk length')
    case FrameError.expectedDollar:
      return errorLine(
        `Protocol error: expected '$', got '${byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ' '}'`,
      )
    case FrameError.inlineTooLong:
      return errorLine('Protocol error: too big inline request')
    case FrameError.unauthenticatedCount:
      return errorLine('Protocol error: unauthenticated multibulk length')
    case FrameError.unauthenticatedBulk:
      return errorLine('Protocol error: unauthenticated bulk length')
    case FrameError.requestTooLong:
      return errorLine('Protocol error: too big request')
    default:
      return errorLine('Protocol error: expected CR LF after an argument')
  }
}
