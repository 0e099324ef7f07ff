/**
 * A large reply to one fragment of a split request, on its way through a server connection: cut at the ends of its values, which go to the
 * `JoinedStream`. Data plane; exists while the reply passes.
 */

import type { ValueScanner } from '../../protocol/parser.ts'
import type { JoinedStream } from '../request/joined-stream.ts'
import type { Message } from '../request/message.ts'

export class LargePart {
  readonly fragment: Message
  readonly stream: JoinedStream
  /** Bytes that have passed. */
  bytes = 0
  private readonly scanner: ValueScanner

  constructor(fragment: Message, stream: JoinedStream, scanner: ValueScanner) {
    this.fragment = fragment
    this.stream = stream
    this.scanner = scanner
  }

  /** The reply has passed. */
  get done(): boolean {
    return this.scanner.done
  }

  /** Takes bytes of the reply, [start, end) of buf. @returns the place after those that belong to it, or -1 when they are malformed. */
  take(buf: Uint8Array, start: number, end: number): number {
    const { scanner, stream, fragment } = this
    let at = start
    while (at < end && !scanner.done) {
      const next = scanner.step(buf, at, end)
      if (next < 0) return next
      stream.put(fragment, buf, at, next, scanner.endsValue)
      at = next
    }
    this.bytes += at - start
    return at
  }
}
