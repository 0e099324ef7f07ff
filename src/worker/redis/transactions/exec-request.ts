/** Sends EXEC to each server that has a part of a transaction, and joins the replies (`join/exec.ts`). Data plane. */

import { encodeText } from '../../../bytes/ascii.ts'
import { PoolStat } from '../../../shared/stat-fields.ts'
import type { Client } from '../../client/client.ts'
import { MessageKind } from '../../request/message.ts'
import { SplitRequest } from '../../request/split-request.ts'
import type { ServerConnection } from '../../server/server-connection.ts'
import { ExecJoiner, type ExecPlace } from '../join/exec.ts'

const EXEC = encodeText('*1\r\n$4\r\nEXEC\r\n')
const NO_OWNERS = new Uint16Array(0)

/** Sends EXEC on every connection of `parts`; the index there is the part in `places`. @param tag of the messages. */
export function sendExec(
  client: Client,
  parts: readonly ServerConnection[],
  places: readonly ExecPlace[],
  tag: number,
): void {
  const { pool } = client
  const parent = client.messages.acquire(client, MessageKind.parent)
  const split = new SplitRequest(new ExecJoiner(places, parts.length), parent, NO_OWNERS, 0)
  parent.split = split
  client.push(parent)
  split.waiting = parts.length
  pool.row[pool.statBase + PoolStat.fragments] += parts.length
  for (const [part, connection] of parts.entries()) {
    const fragment = parent.messages.acquire(null, MessageKind.fragment)
    fragment.split = split
    fragment.fragmentIndex = part
    fragment.tag = tag
    split.fragments.push(fragment)
    connection.enqueue(fragment, EXEC.length)
    connection.socket.append(EXEC, 0, EXEC.length)
  }
}

/** The reply to an EXEC that no server has a part of. */
export function ownReply(places: readonly ExecPlace[]): Uint8Array {
  const replies = places.map(place => (typeof place === 'number' ? new Uint8Array(0) : place.run()))
  return Buffer.concat([encodeText(`*${places.length}\r\n`), ...replies])
}
