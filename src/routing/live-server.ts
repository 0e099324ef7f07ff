/**
 * A live server as the builder of a routing table sees it. Plain data, so that it can go to another
 * thread.
 */
export interface LiveServer {
  /** Position in the pool. */
  readonly index: number
  /** Latin-1 text, one char a byte. */
  readonly name: string
  readonly weight: number
}
