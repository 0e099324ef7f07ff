/**
 * Sends EXEC to each server that has a part of a transaction, and joins the replies
 * (`join/exec.ts`). Data plane.
 */

import { encodeText } from '../../../bytes/ascii.ts'
import type { Client } from '../../client/client.ts'
import { closeSplit } from '../../request/delivery.ts'
import { SplitRequest } from '../../request/split-request.ts'
import type { ServerConnection } from '../../server/server-connection.ts'
import { ExecJoiner, type ExecPlace } from '../join/exec.ts'

const EXEC = encodeText('*1\r\n$4\r\nEXEC\r\n')

/**
 * Sends EXEC on every connection of `parts`.
 * @param places name the parts by their index in `parts`.
 * @param tag of the messages.
 */
export function sendExec(
  client: Client,
  parts: readonly ServerConnection[],
  places: readonly ExecPlace[],
  tag: number,
): void {
  const split = new SplitRequest(client, new ExecJoiner(places, parts.length))
  for (const connection of parts) {
    const fragment = split.addFragment()
    fragment.tag = tag
    connection.enqueue(fragment, EXEC.length)
    connection.socket.append(EXEC, 0, EXEC.length)
  }
  closeSplit(split)
}

/** @returns the reply to an EXEC of which no server has a part. */
export function ownReply(places: readonly ExecPlace[]): Uint8Array {
  const replies = places.map(place => (typeof place === 'number' ? new Uint8Array(0) : place.run()))
  return Buffer.concat([encodeText(`*${places.length}\r\n`), ...replies])
}
