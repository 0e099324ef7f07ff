/** What a parser's `parse` returns. Data plane; shared by all parsers. */
export const Parsed = { complete: 0, incomplete: 1, error: 2 } as const
export type ParsedCode = (typeof Parsed)[keyof typeof Parsed]

/** Finds one request; resumable. See `protocol/redis/request-parser.ts`. */
export interface RequestParser {
  start: number
  end: number
  /** After `incomplete`: bytes that the request needs in total, at least; 0 = unknown. */
  need: number
  /**
   * After `incomplete`: the parser never looks at bytes before this place again, so they may be passed on and forgotten. `parse` then goes
   * on with a `start` that lies before the buffer (negative) by the bytes that are gone.
   */
  safe: number
  parse(buf: Uint8Array, start: number, end: number): ParsedCode
  /** @param on the sender has not authenticated: it may say little. Until `reset`. */
  restrict(on: boolean): void
  reset(): void
}

/** Finds one reply; resumable. */
export interface ReplyParser {
  start: number
  end: number
  need: number
  /** After `incomplete`: `need` is the exact size of the reply, which is one value and ends in CR LF. */
  exact: boolean
  /** After `incomplete`, from `start`: where the value that is being read ends (0 = a line is read), and where that value or line begins. */
  readonly valueEnd: number
  readonly tokenStart: number
  /** After `incomplete` within a value: its bytes have gone by up to `valueEnd`. @returns true when the reply is whole. */
  skipValue(): boolean
  parse(buf: Uint8Array, start: number, end: number): ParsedCode
  reset(): void
}

/** Finds the ends of the values in a reply that is a list of a known number of values, as its bytes arrive; it never needs them again. */
export interface ValueScanner {
  /** After `step`: the piece it found is the last one of its value. */
  readonly endsValue: boolean
  /** Every value has been found. */
  readonly done: boolean
  /**
   * Looks at bytes [at, end) of buf, which follow those of the last call.
   * @returns the place after the bytes among them that belong to the current value, or -1 when they are malformed.
   */
  step(buf: Uint8Array, at: number, end: number): number
}
