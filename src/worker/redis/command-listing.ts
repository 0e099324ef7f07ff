/**
 * COMMAND and its subcommands: any server tells of its commands, and the proxy leaves out what the pool does not serve, so that clients that
 * choose their commands by it choose rightly. Data plane.
 */

import { argIs } from '../../protocol/redis/arguments.ts'
import { Action, lookupCommand, UNKNOWN_COMMAND } from '../../protocol/redis/commands.ts'
import type { RespRequestParser } from '../../protocol/redis/request-parser.ts'
import { askAnyServer } from '../client/any-server.ts'
import type { Client } from '../client/client.ts'
import { CommandListJoiner, type ListForm } from './join/command-list.ts'
import type { LearnedCommands } from './learned-commands.ts'

/** What the request needs of its pool. */
export interface CommandServer {
  readonly learned: LearnedCommands
  /** Index of the server for what has no key; -1 = none is live. */
  readonly keylessServer: number
  forwardKeyless(client: Client, parser: RespRequestParser, buf: Uint8Array): void
}

const COMMAND = Buffer.from('*1\r\n$7\r\nCOMMAND\r\n')

export function commandRequest(
  protocol: CommandServer,
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
): void {
  const form = formOf(parser, buf)
  const { learned, keylessServer } = protocol
  if (form === null || keylessServer < 0) {
    protocol.forwardKeyless(client, parser, buf)
    return
  }
  const oneServer = client.pool.servers.length === 1
  // With CLIENT REPLY OFF no request may be postponed, and the client reads no answer.
  if (!oneServer && client.fastPath && !learned.ready(client)) return
  const served = (name: string): boolean => isServed(name, oneServer, learned)
  const joiner = new CommandListJoiner(form, client.resp3, parser.argCount > 2, served)
  // Counting is over what is left of the list itself.
  const request = form === 'count' ? COMMAND : Uint8Array.prototype.slice.call(buf, parser.start, parser.end)
  askAnyServer(client, keylessServer, joiner, (connection, fragment) => {
    connection.enqueue(fragment, request.length)
    connection.socket.append(request, 0, request.length)
  })
}

/** @returns null for what only the server can answer: GETKEYS, HELP, errors. */
function formOf(parser: RespRequestParser, buf: Uint8Array): ListForm | null {
  const { argCount } = parser
  if (argCount === 1) return 'entries'
  const is = (word: string): boolean => argIs(parser, buf, 1, word)
  if (is('INFO')) return 'entries'
  if (is('DOCS')) return 'documents'
  if (is('LIST')) return 'names'
  return is('COUNT') && argCount === 2 ? 'count' : null
}

/** @param name upper case; `CONTAINER|SUBCOMMAND` for one of a container. */
function isServed(name: string, oneServer: boolean, learned: LearnedCommands): boolean {
  const container = Buffer.from(name.split('|', 1)[0], 'latin1')
  const { action } = lookupCommand(container, 0, container.length)
  if (action !== UNKNOWN_COMMAND.action) return action !== Action.deny
  return oneServer || learned.isServed(name)
}
