/**
 * What a client has sent and the proxy has not handled yet. Data plane; `client-input.ts` and
 * `client-upload.ts` write it.
 */

import type { RequestParser } from '../../protocol/parser.ts'
import type { Tail } from '../memory/tail.ts'
import type { Upload } from './upload.ts'

export class InputState {
  /** Parser of the current request; null while there is no input. */
  parser: RequestParser | null = null
  /** An incomplete request, or the input of a blocked client; null = none. */
  tail: Tail | null = null
  /** The large request that is passing through. */
  upload: Upload | null = null
  /** The large request in the tail is gathered whole and does not pass through. */
  gathersRequest = false
  /**
   * `Turn.nowMs` since which a large request waits for earlier replies; valid while
   * `watches.uploads` has the client.
   */
  uploadWaitsSinceMs = 0
  /** `watches.requests` has the client. */
  requestWatched = false
  /** The client has sent FIN. */
  ended = false
  /** The client ends once its incomplete request is handled: its pool is gone. */
  isLast = false

  /** Nothing is left to handle. */
  get isEmpty(): boolean {
    return this.tail === null && this.upload === null
  }
}
