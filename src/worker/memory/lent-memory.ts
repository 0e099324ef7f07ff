/**
 * How much memory a worker's data takes: requests and replies that wait, and the records that keep their order. Data plane; counted where
 * memory is acquired and released (`slab.ts`, `reply-arena.ts`, `tail.ts`, `message.ts`, `socket.ts`), looked at by `memory-guard.ts`.
 */

/** What a request's record takes in V8's heap, with its share of the queues, bytes. */
export const MESSAGE_BYTES = 256

export class LentMemory {
  /** In a typed array: V8 would allocate a number beyond 2^31 in a field again at each change. */
  private readonly bytes: Float64Array = new Float64Array(1)

  /** Counts memory that data takes from now on, or with a negative number takes no more. */
  count(bytes: number): void {
    this.bytes[0] += bytes
  }

  /** Bytes that data takes now; requests' records are counted by their pool. */
  get totalBytes(): number {
    return this.bytes[0]
  }
}
