/**
 * Writes the proxy's own replies to rare requests: RESP2, or RESP3's types for clients that speak
 * it. Data plane.
 */

const CR_LF = '\r\n'

/** A bulk of bytes [start, end). */
export function bulkOf(buf: Uint8Array, start: number, end: number): Uint8Array {
  const head = Buffer.from(`$${end - start}\r\n`)
  const bytes = Buffer.allocUnsafe(head.length + end - start + 2)
  bytes.set(head)
  bytes.set(buf.subarray(start, end), head.length)
  bytes.write(CR_LF, bytes.length - 2)
  return bytes
}

/**
 * Builds one reply. Texts are one char a byte. An aggregate is announced with its number of
 * elements, which follow; of a map, a key and its value count as one.
 */
export class ReplyWriter {
  private readonly resp3: boolean
  private text = ''

  constructor(resp3: boolean) {
    this.resp3 = resp3
  }

  bytes(): Uint8Array {
    return Buffer.from(this.text, 'latin1')
  }

  integer(value: number | bigint): this {
    return this.line(':', `${value}`)
  }

  bulk(text: string): this {
    this.text += `$${text.length}\r\n${text}\r\n`
    return this
  }

  /** Text for people: RESP3 marks it as such. */
  verbatim(text: string): this {
    if (!this.resp3) return this.bulk(text)
    this.text += `=${text.length + 4}\r\ntxt:${text}\r\n`
    return this
  }

  null(): this {
    this.text += this.resp3 ? '_\r\n' : '$-1\r\n'
    return this
  }

  /** A number as the server prints it: a bulk in RESP2. */
  double(text: string): this {
    return this.resp3 ? this.line(',', text) : this.bulk(text)
  }

  array(count: number): this {
    return this.line('*', `${count}`)
  }

  set(count: number): this {
    return this.line(this.resp3 ? '~' : '*', `${count}`)
  }

  map(count: number): this {
    return this.resp3 ? this.line('%', `${count}`) : this.array(count * 2)
  }

  private line(type: string, text: string): this {
    this.text += type + text + CR_LF
    return this
  }
}
