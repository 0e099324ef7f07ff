/** What a server connection needs of a large request that passes through it in pieces. Data plane. `client/upload.ts` implements it. */

import type { ReplyTarget } from '../request/reply-target.ts'

export interface RequestStream {
  readonly client: ReplyTarget
  /** When the last bytes came, or reading was paused: Turn.nowMs. */
  readonly activeMs: number
  /** The server is not taking the body: the client is not read. */
  readonly paused: boolean
  /** The server took what waited, or the request is answered already. */
  resume(): void
}
