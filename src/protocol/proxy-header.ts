/**
 * The PROXY protocol's header, versions 1 and 2: what a load balancer says about a client before the client's own bytes. Data plane; used by
 * `worker/client/proxy-greeting.ts`. Source: HAProxy's doc/proxy-protocol.txt (2020-03-05), sections 2.1 and 2.2; where it leaves a choice the
 * stricter one is taken, because a peer that may write the header may claim any address.
 *
 *     v1   PROXY TCP4 10.0.0.7 10.0.0.1 51234 6379\r\n                          107 bytes at most
 *     v2   12 bytes signature │ version, command │ family │ length │ addresses │ TLVs      16 bytes and `length` more
 *
 * The parser keeps what it has read itself (232 bytes at most: TLVs are counted, not kept), so the caller keeps nothing.
 */

import { CR, encodeText, LF } from '../bytes/ascii.ts'
import { formatIpv4, formatIpv6, ipv6Groups, isDecimal, isIpv4, parseIpv6 } from './ip-address.ts'
import { Parsed, type ParsedCode } from './parser.ts'

const V1_PREFIX = encodeText('PROXY ')
const V2_SIGNATURE = encodeText('\r\n\r\n\0\r\nQUIT\n')
/** Longest line of version 1, CR LF included. */
const V1_MAX_BYTES = 107
const V2_FIXED_BYTES = 16
/** Two unix paths: the longest addresses there are. */
const UNIX_BYTES = 216
const UNIX_PATH_BYTES = UNIX_BYTES / 2

const Command = { local: 0, proxy: 1 } as const
const Family = { unspecified: 0, inet: 1, inet6: 2, unix: 3 } as const
/** Bytes of the two addresses and ports, by family. */
const ADDRESS_BYTES: readonly number[] = [0, 12, 36, UNIX_BYTES]
/** Nothing, stream, datagram. */
const MAX_TRANSPORT = 2

/** Part of the header that the next byte belongs to. */
const Stage = { prefix: 0, line: 1, fixed: 2, addresses: 3, rest: 4 } as const

/** Reads one header; made for one connection. */
export class ProxyHeaderParser {
  /**
   * After `complete`: who the client is: `10.0.0.7:51234`, `[2001:db8::1]:51234` or the path of a unix socket. '' = the connection's own
   * address holds: `LOCAL` (the balancer itself asks), `UNKNOWN`, or a family that has no address.
   */
  address = ''
  /** After `complete`: first byte behind the header. */
  end = 0
  /** After `error`: what is wrong, for the log. */
  problem = ''
  private stage: number = Stage.prefix
  private readonly held = new Uint8Array(V2_FIXED_BYTES + UNIX_BYTES)
  private heldBytes = 0
  /** Bytes of the header still to come that are not kept. */
  private restBytes = 0

  /** Takes bytes [start, end) of buf, which follow those of the call before. Not to be called after `complete` or `error`. */
  parse(buf: Uint8Array, start: number, end: number): ParsedCode {
    let at = start
    while (at < end) {
      if (this.stage === Stage.rest) {
        const taken = Math.min(end - at, this.restBytes)
        at += taken
        this.restBytes -= taken
        if (this.restBytes === 0) return this.complete(at)
        continue
      }
      this.held[this.heldBytes++] = buf[at++]
      const code = this.step()
      if (code === Parsed.complete) return this.complete(at)
      if (code === Parsed.error) return code
    }
    return Parsed.incomplete
  }

  private complete(at: number): ParsedCode {
    this.end = at
    return Parsed.complete
  }

  private fail(problem: string): ParsedCode {
    this.problem = problem
    return Parsed.error
  }

  /** Looks at what is held, of which the last byte is new. */
  private step(): ParsedCode {
    switch (this.stage) {
      case Stage.prefix:
        return this.prefix()
      case Stage.line:
        return this.line()
      case Stage.fixed:
        return this.fixed()
      default:
        return this.addresses()
    }
  }

  private prefix(): ParsedCode {
    const version1 = this.held[0] === V1_PREFIX[0]
    const prefix = version1 ? V1_PREFIX : V2_SIGNATURE
    const last = this.heldBytes - 1
    if (this.held[last] !== prefix[last]) return this.fail('no PROXY header')
    if (this.heldBytes === prefix.length) this.stage = version1 ? Stage.line : Stage.fixed
    return Parsed.incomplete
  }

  private line(): ParsedCode {
    const last = this.heldBytes - 1
    if (this.held[last] !== LF) return this.heldBytes < V1_MAX_BYTES ? Parsed.incomplete : this.fail('line too long')
    if (this.held[last - 1] !== CR) return this.fail('line without CR')
    const words = String.fromCharCode(...this.held.subarray(V1_PREFIX.length, last - 1)).split(' ')
    // Whatever follows UNKNOWN is to be ignored.
    if (words[0] === 'UNKNOWN') return Parsed.complete
    const [family, source, destination, sourcePort, destinationPort] = words
    const from = textOf(family, source)
    const isWhole = words.length === 5 && from !== '' && textOf(family, destination) !== ''
    if (!isWhole || !isDecimal(sourcePort, 65_535) || !isDecimal(destinationPort, 65_535)) {
      return this.fail('malformed line')
    }
    this.address = `${from}:${sourcePort}`
    return Parsed.complete
  }

  private fixed(): ParsedCode {
    if (this.heldBytes < V2_FIXED_BYTES) return Parsed.incomplete
    const { held } = this
    const version = held[12] >> 4
    const command = held[12] & 15
    const family = held[13] >> 4
    if (version !== 2) return this.fail(`version ${version}`)
    if (command > Command.proxy) return this.fail(`unknown command ${command}`)
    if (family > Family.unix || (held[13] & 15) > MAX_TRANSPORT) return this.fail(`unknown family ${held[13]}`)
    const bytes = held[14] * 256 + held[15]
    const addressBytes = command === Command.local ? 0 : ADDRESS_BYTES[family]
    if (bytes < addressBytes) return this.fail(`${bytes} bytes are too few for the addresses`)
    this.restBytes = bytes - addressBytes
    if (addressBytes > 0) this.stage = Stage.addresses
    else if (bytes > 0) this.stage = Stage.rest
    else return Parsed.complete
    return Parsed.incomplete
  }

  private addresses(): ParsedCode {
    const { held } = this
    const family = held[13] >> 4
    if (this.heldBytes < V2_FIXED_BYTES + ADDRESS_BYTES[family]) return Parsed.incomplete
    if (family === Family.inet) {
      this.address = `${formatIpv4(held, V2_FIXED_BYTES)}:${portAt(held, V2_FIXED_BYTES + 8)}`
    } else if (family === Family.inet6) {
      this.address = `[${formatIpv6(ipv6Groups(held, V2_FIXED_BYTES))}]:${portAt(held, V2_FIXED_BYTES + 32)}`
    } else {
      this.address = pathAt(held, V2_FIXED_BYTES)
    }
    if (this.restBytes === 0) return Parsed.complete
    this.stage = Stage.rest
    return Parsed.incomplete
  }
}

/** An address of version 1 as it is logged, or '' when it is none of its family. */
function textOf(family: string, address = ''): string {
  if (family === 'TCP4') return isIpv4(address) ? address : ''
  if (family !== 'TCP6') return ''
  const groups = parseIpv6(address)
  return groups === null ? '' : `[${formatIpv6(groups)}]`
}

function portAt(buf: Uint8Array, at: number): number {
  return buf[at] * 256 + buf[at + 1]
}

/** A unix path, which ends at its first NUL; the client's own end mostly has no name. */
function pathAt(buf: Uint8Array, at: number): string {
  let end = at
  while (end < at + UNIX_PATH_BYTES && buf[end] !== 0) end++
  return String.fromCharCode(...buf.subarray(at, end))
}
