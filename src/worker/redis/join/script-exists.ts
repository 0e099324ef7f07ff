/**
 * SCRIPT EXISTS over all servers: a script must be on every server that EVALSHA can take it to.
 * Data plane.
 */

import type { ReplyValue } from '../../../protocol/redis/reply-value.ts'
import type { ReplyWriter } from '../../../protocol/redis/reply-writer.ts'
import type { SplitRequest } from '../../request/split-request.ts'
import { CollectingJoiner } from './collecting-joiner.ts'

export class ScriptExistsJoiner extends CollectingJoiner {
  private readonly onOneServer: readonly boolean[]
  private readonly keylessServer: number

  /**
   * @param onOneServer for each digest: it was run without keys, which one server does for all such
   * scripts.
   * @param keylessServer index of that server.
   */
  constructor(onOneServer: readonly boolean[], keylessServer: number) {
    super(true)
    this.onOneServer = onOneServer
    this.keylessServer = keylessServer
  }

  protected override fits(reply: ReplyValue): boolean {
    return (
      Array.isArray(reply) && reply.length === this.onOneServer.length && reply.every(each => typeof each === 'number')
    )
  }

  protected override join(writer: ReplyWriter, split: SplitRequest): void {
    const replies = this.replies as number[][]
    const keyless = this.replyOf(split.serverOfFragment.indexOf(this.keylessServer)) as number[] | undefined
    writer.array(this.onOneServer.length)
    for (const [i, oneServer] of this.onOneServer.entries()) {
      writer.integer(oneServer && keyless !== undefined ? keyless[i] : Math.min(...replies.map(each => each[i])))
    }
  }
}
