/** A request as MONITOR shows it. Data plane, for pools that are monitored only. */

import { latin1 } from '../../../bytes/text.ts'
import { argEnd, argStart } from '../../../protocol/redis/arguments.ts'
import type { Command } from '../../../protocol/redis/commands.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'

/** Most bytes of arguments shown of one request; a number stands for the rest. */
const SHOWN_BYTES = 16_384

/** Commands that Redis does not show. For CLIENT and ACL it depends on the subcommand. */
const ADMIN = new Set(['CONFIG', 'LATENCY', 'MODULE', 'MONITOR', 'SLOWLOG'])
const CLIENT_ADMIN = new Set(['KILL', 'LIST', 'NO-EVICT', 'PAUSE', 'UNBLOCK', 'UNPAUSE'])
const ACL_OPEN = new Set(['CAT', 'GENPASS', 'HELP', 'WHOAMI'])

/** @returns true when MONITOR shows a request. @param args the command's name first. */
export function isShown(command: Command, args: readonly string[]): boolean {
  if (ADMIN.has(command.name)) return false
  if (command.name !== 'CLIENT' && command.name !== 'ACL') return true
  const subcommand = args.length < 2 ? '' : args[1].toUpperCase()
  return command.name === 'ACL' ? ACL_OPEN.has(subcommand) : !CLIENT_ADMIN.has(subcommand)
}

/** @returns the arguments of a request up to `SHOWN_BYTES`, one char a byte. */
export function shownArguments(parser: RespRequestParser, buf: Uint8Array): string[] {
  const { argCount } = parser
  const shown: string[] = []
  let left = SHOWN_BYTES
  let hidden = 0
  for (let i = 0; i < argCount; i++) {
    const from = argStart(parser, i)
    const to = argEnd(parser, i)
    const take = Math.min(left, to - from)
    if (take > 0 || to === from) shown.push(latin1(buf, from, from + take))
    left -= take
    hidden += to - from - take
  }
  if (hidden > 0) shown.push(`(${hidden} more bytes)`)
  return shown
}

/**
 * @returns one line with CR LF, without passwords.
 * @param source the client's address.
 * @param nowUs microseconds since 1970.
 */
export function monitorLine(nowUs: number, database: number, source: string, args: readonly string[]): string {
  const time = `${Math.trunc(nowUs / 1_000_000)}.${String(nowUs % 1_000_000).padStart(6, '0')}`
  const shown = redacted(args).map(quoted).join(' ')
  return `+${time} [${database} ${source.startsWith('/') ? `unix:${source}` : source}] ${shown}\r\n`
}

function redacted(args: readonly string[]): readonly string[] {
  const name = args[0].toUpperCase()
  if (name === 'AUTH') return args.map((arg, i) => (i === 0 ? arg : '(redacted)'))
  if (name !== 'HELLO') return args
  const auth = args.findIndex((arg, i) => i > 1 && arg.toUpperCase() === 'AUTH')
  return auth < 0 ? args : args.map((arg, i) => (i === auth + 1 || i === auth + 2 ? '(redacted)' : arg))
}

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [7, '\\a'],
  [8, '\\b'],
  [9, '\\t'],
  [10, '\\n'],
  [13, '\\r'],
  [34, '\\"'],
  [92, '\\\\'],
])

/** As Redis's `sdscatrepr`. @param text one char a byte. */
function quoted(text: string): string {
  if (/^[ !#-[\]-~]*$/.test(text)) return `"${text}"`
  let repr = ''
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const isPrintable = code >= 32 && code < 127
    repr += ESCAPES.get(code) ?? (isPrintable ? text[i] : `\\x${code.toString(16).padStart(2, '0')}`)
  }
  return `"${repr}"`
}
