/** Cuts the bytes that a fake server receives on one connection into requests. */

/** @returns where the request that begins at `at` ends, or -1 while it is incomplete. */
export type RequestEnd = (bytes: Buffer, at: number) => number

/** From this many bytes of one request on, it is looked at again only when they have doubled. */
const LARGE_BYTES = 1_000_000
/** A large request is also looked at again when no bytes have come for this long. */
const QUIET_MS = 5

export class RequestReader {
  receivedBytes = 0
  readonly #endOf: RequestEnd
  readonly #onRequest: (request: Buffer) => void
  /** Pieces of the incomplete request. */
  #pieces: Buffer[] = []
  #pieceBytes = 0
  /** The pieces are joined once they have this many bytes. */
  #needBytes = 0
  #stopped = false

  /** @param onRequest gets one complete request; its bytes do not change afterwards. */
  constructor(endOf: RequestEnd, onRequest: (request: Buffer) => void) {
    this.#endOf = endOf
    this.#onRequest = onRequest
  }

  /** @param chunk must not change afterwards. */
  take(chunk: Buffer): void {
    this.receivedBytes += chunk.length
    if (this.#stopped) return
    this.#pieces.push(chunk)
    this.#pieceBytes += chunk.length
    if (this.#pieceBytes < this.#needBytes) return
    const bytes = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces)
    let at = 0
    while (at < bytes.length && !this.#stopped) {
      const end = this.#endOf(bytes, at)
      if (end < 0) break
      const request = bytes.subarray(at, end)
      at = end
      this.#onRequest(request)
    }
    const rest = bytes.subarray(at)
    this.#pieces = [rest]
    this.#pieceBytes = rest.length
    this.#needBytes = rest.length > LARGE_BYTES ? rest.length * 2 : 0
    if (this.#needBytes > 0) this.#finishWhenQuiet()
  }

  /** Drops the rest, and all bytes from now on. */
  stop(): void {
    this.#stopped = true
    this.#pieces = []
  }

  /** The last doubling of a large request never comes. */
  #finishWhenQuiet(): void {
    const seen = this.receivedBytes
    setTimeout(() => {
      if (this.#needBytes === 0 || this.#stopped) return
      if (this.receivedBytes !== seen) {
        this.#finishWhenQuiet()
        return
      }
      this.#needBytes = 0
      this.take(Buffer.alloc(0))
    }, QUIET_MS).unref()
  }
}
