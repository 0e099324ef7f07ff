/**
 * Logs a command that is not supported, in nutcracker's words. Data plane, for refused requests.
 */

import { latin1 } from '../../bytes/text.ts'
import { argEnd, argStart } from '../../protocol/redis/arguments.ts'
import { Action } from '../../protocol/redis/commands.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import type { Client } from '../client/client.ts'

/** Longer names are cut in the log, bytes. */
const MAX_LOGGED_BYTES = 128

export function logUnsupported(client: Client, parser: RespRequestParser, buf: Uint8Array): void {
  const { command } = parser
  const { config, limitedLog } = client.pool
  if ((config.strict ? command.strictAction : command.action) !== Action.refuse) return
  limitedLog.alert('unsupported command', () => {
    const start = argStart(parser, 0)
    const name = latin1(buf, start, Math.min(argEnd(parser, 0), start + MAX_LOGGED_BYTES))
    return `parsed unsupported command '${name}' of c ${client.address}`
  })
}
