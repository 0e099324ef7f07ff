import { isIPv4, isIPv6 } from 'node:net'
import { describe, expect, test } from 'vitest'
import { Parsed } from '../../../src/protocol/parser.ts'
import { ProxyHeaderParser } from '../../../src/protocol/proxy-header.ts'
import { Random, runSeed } from '../../support/random.ts'

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

interface V2 {
  readonly versionCommand?: number
  readonly family?: number
  readonly body?: Uint8Array
  /** Announced length where it is not the body's. */
  readonly length?: number
}

function v2({ versionCommand = 0x21, family = 0x11, body = inet(), length = body.length }: V2 = {}): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([versionCommand, family, length >> 8, length & 255]), body])
}

function ports(source: number, destination: number): number[] {
  return [source >> 8, source & 255, destination >> 8, destination & 255]
}

function inet(): Buffer {
  return Buffer.from([10, 0, 0, 7, 192, 168, 255, 1, ...ports(51234, 6379)])
}

function inet6(): Buffer {
  const source = Buffer.from('20010db8000000000000000000c0ffee', 'hex')
  return Buffer.concat([source, Buffer.alloc(16), Buffer.from(ports(65535, 1))])
}

function unix(path: string): Buffer {
  return Buffer.concat([Buffer.from(path), Buffer.alloc(216 - path.length)])
}

/** A TLV as senders add them: authority, unique id, CRC … */
function tlv(type: number, bytes: number): Buffer {
  return Buffer.concat([Buffer.from([type, bytes >> 8, bytes & 255]), Buffer.alloc(bytes, 'x')])
}

interface Verdict {
  readonly code: number
  readonly address: string
  /** Bytes of the header; 0 unless complete. */
  readonly bytes: number
  readonly problem: string
}

/** Feeds `input` cut at `cuts`, each piece at an offset of its own in a dirty buffer. Stops at the first verdict. */
function feed(input: Buffer, cuts: readonly number[] = []): Verdict {
  const parser = new ProxyHeaderParser()
  let from = 0
  for (const cut of [...cuts, input.length]) {
    const lead = (from * 7) % 13
    const piece = Buffer.concat([Buffer.alloc(lead, 'P'), input.subarray(from, cut), Buffer.alloc(3, 0x0a)])
    const code = parser.parse(piece, lead, lead + cut - from)
    const { address, problem } = parser
    if (code === Parsed.complete) return { code, address, bytes: from + parser.end - lead, problem }
    if (code === Parsed.error) return { code, address: '', bytes: 0, problem }
    from = cut
  }
  return { code: Parsed.incomplete, address: '', bytes: 0, problem: '' }
}

const REQUEST = Buffer.from('*1\r\n$4\r\nPING\r\n')

const GOOD: readonly (readonly [string, Buffer, string])[] = [
  ['v1 TCP4', Buffer.from('PROXY TCP4 10.0.0.7 192.168.255.1 51234 6379\r\n'), '10.0.0.7:51234'],
  [
    'v1 TCP4, the longest',
    Buffer.from('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n'),
    '255.255.255.255:65535',
  ],
  ['v1 TCP6', Buffer.from('PROXY TCP6 2001:DB8:0:0::c0ff:ee ::1 1 0\r\n'), '[2001:db8::c0ff:ee]:1'],
  ['v1 TCP6 mapped', Buffer.from('PROXY TCP6 ::ffff:10.0.0.7 ::1 51234 6379\r\n'), '[::ffff:10.0.0.7]:51234'],
  ['v1 UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), ''],
  [
    'v1 UNKNOWN, the longest line',
    Buffer.from(`PROXY UNKNOWN ${'f'.repeat(39)} ${'f'.repeat(39)} 65535 65535\r\n`),
    '',
  ],
  ['v2 TCP over IPv4', v2(), '10.0.0.7:51234'],
  ['v2 UDP over IPv4', v2({ family: 0x12 }), '10.0.0.7:51234'],
  ['v2 TCP over IPv6', v2({ family: 0x21, body: inet6() }), '[2001:db8::c0:ffee]:65535'],
  ['v2 unix stream', v2({ family: 0x31, body: unix('/run/app.sock') }), '/run/app.sock'],
  ['v2 unix stream without a name', v2({ family: 0x31, body: unix('') }), ''],
  ['v2 unix path of all 108 bytes', v2({ family: 0x32, body: unix('p'.repeat(108)) }), 'p'.repeat(108)],
  ['v2 unspecified', v2({ family: 0, body: Buffer.alloc(0) }), ''],
  ['v2 unspecified with bytes to ignore', v2({ family: 0, body: Buffer.alloc(77, 'x') }), ''],
  ['v2 LOCAL', v2({ versionCommand: 0x20, family: 0, body: Buffer.alloc(0) }), ''],
  ['v2 LOCAL, addresses ignored', v2({ versionCommand: 0x20 }), ''],
  ['v2 LOCAL, family without its addresses', v2({ versionCommand: 0x20, body: Buffer.alloc(2) }), ''],
  [
    'v2 with TLVs',
    v2({ body: Buffer.concat([inet(), tlv(0x02, 11), tlv(0x05, 128), tlv(0x04, 0)]) }),
    '10.0.0.7:51234',
  ],
  ['v2 as long as it gets', v2({ body: Buffer.concat([inet(), Buffer.alloc(65535 - 12)]) }), '10.0.0.7:51234'],
]

describe.each(GOOD)('%s', (_, header, address) => {
  const expected: Verdict = { code: Parsed.complete, address, bytes: header.length, problem: '' }

  test('is understood whole, and what follows is left alone', () => {
    expect(feed(header)).toEqual(expected)
    expect(feed(Buffer.concat([header, REQUEST]))).toEqual(expected)
  })

  test('is understood byte by byte', () => {
    const input = Buffer.concat([header, REQUEST])
    expect(feed(input, Array.from(input.keys()).slice(1))).toEqual(expected)
  })

  test('is understood at every split', () => {
    const input = Buffer.concat([header, REQUEST])
    for (let cut = 1; cut < Math.min(input.length, 400); cut++) expect(feed(input, [cut])).toEqual(expected)
  })

  test('is incomplete until its last byte', () => {
    for (let bytes = 0; bytes < Math.min(header.length, 400); bytes++) {
      expect(feed(header.subarray(0, bytes)).code).toBe(Parsed.incomplete)
    }
    expect(feed(header.subarray(0, -1)).code).toBe(Parsed.incomplete)
  })
})

/** Input, and how many of its bytes are enough to tell. */
const BAD: readonly (readonly [string, Buffer, string, number])[] = [
  ['a RESP request', REQUEST, 'no PROXY header', 1],
  ['an inline PING', Buffer.from('PING\r\n'), 'no PROXY header', 2],
  ['lower case', Buffer.from('proxy TCP4 10.0.0.7 10.0.0.1 1 1\r\n'), 'no PROXY header', 1],
  ['a TLS hello', Buffer.from([0x16, 3, 1, 2, 0]), 'no PROXY header', 1],
  ['the signature with a wrong end', Buffer.from('\r\n\r\n\0\r\nQUIT\r'), 'no PROXY header', 12],
  ['another family', Buffer.from('PROXY UDP4 10.0.0.7 10.0.0.1 1 1\r\n'), 'malformed line', 34],
  ['a family in lower case', Buffer.from('PROXY tcp4 10.0.0.7 10.0.0.1 1 1\r\n'), 'malformed line', 34],
  ['no addresses', Buffer.from('PROXY TCP4\r\n'), 'malformed line', 12],
  ['no ports', Buffer.from('PROXY TCP4 10.0.0.7 10.0.0.1\r\n'), 'malformed line', 30],
  ['two spaces', Buffer.from('PROXY TCP4  10.0.0.7 10.0.0.1 1 1\r\n'), 'malformed line', 35],
  ['a space at the end', Buffer.from('PROXY TCP4 10.0.0.7 10.0.0.1 1 1 \r\n'), 'malformed line', 35],
  ['a leading zero in an address', Buffer.from('PROXY TCP4 10.0.0.07 10.0.0.1 1 1\r\n'), 'malformed line', 35],
  ['a leading zero in a port', Buffer.from('PROXY TCP4 10.0.0.7 10.0.0.1 01 1\r\n'), 'malformed line', 35],
  ['a byte above 255', Buffer.from('PROXY TCP4 10.0.0.256 10.0.0.1 1 1\r\n'), 'malformed line', 36],
  ['a port above 65535', Buffer.from('PROXY TCP4 10.0.0.7 10.0.0.1 1 65536\r\n'), 'malformed line', 38],
  ['a signed port', Buffer.from('PROXY TCP4 10.0.0.7 10.0.0.1 +1 1\r\n'), 'malformed line', 35],
  ['IPv6 under TCP4', Buffer.from('PROXY TCP4 ::1 ::1 1 1\r\n'), 'malformed line', 24],
  ['IPv4 under TCP6', Buffer.from('PROXY TCP6 10.0.0.7 10.0.0.1 1 1\r\n'), 'malformed line', 34],
  ['an address with a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n'), 'malformed line', 33],
  ['UNKNOWN with a letter more', Buffer.from('PROXY UNKNOWNS\r\n'), 'malformed line', 16],
  ['LF without CR', Buffer.from('PROXY TCP4 10.0.0.7 10.0.0.1 1 1\n'), 'line without CR', 33],
  ['a line of 107 bytes without its end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}\r\n`), 'line too long', 107],
  ['version 1 in binary', v2({ versionCommand: 0x11 }), 'version 1', 16],
  ['version 3 in binary', v2({ versionCommand: 0x31 }), 'version 3', 16],
  ['command 2', v2({ versionCommand: 0x22 }), 'unknown command 2', 16],
  ['family 4', v2({ family: 0x41 }), 'unknown family 65', 16],
  ['transport 3', v2({ family: 0x13 }), 'unknown family 19', 16],
  ['IPv4 in 11 bytes', v2({ body: inet().subarray(1) }), '11 bytes are too few for the addresses', 16],
  ['IPv6 in 12 bytes', v2({ family: 0x21 }), '12 bytes are too few for the addresses', 16],
  ['a unix path in 36 bytes', v2({ family: 0x31, body: inet6() }), '36 bytes are too few for the addresses', 16],
]

describe.each(BAD)('%s', (_, input, problem, enough) => {
  test('is refused as soon as it can be told, however it is split', () => {
    expect(feed(input.subarray(0, enough - 1)).code).toBe(Parsed.incomplete)
    const expected: Verdict = { code: Parsed.error, address: '', bytes: 0, problem }
    expect(feed(input.subarray(0, enough))).toEqual(expected)
    expect(feed(input)).toEqual(expected)
    for (let cut = 1; cut < input.length; cut++) expect(feed(input, [cut])).toEqual(expected)
  })
})

/** The header's meaning by another road: the whole of it at hand, Node's own address checks. @returns null = not (yet) a header. */
function reference(input: Buffer): { address: string | null; bytes: number } | null {
  const text = input.toString('latin1')
  const line = /^PROXY ([^\n]*)\r\n/.exec(text)
  if (line !== null && line[0].length <= 107) {
    if (/^UNKNOWN( |$)/.test(line[1]!)) return { address: '', bytes: line[0].length }
    const port = '(0|[1-9][0-9]{0,4})'
    const parts = new RegExp(`^TCP([46]) ([^ ]+) ([^ ]+) ${port} ${port}$`).exec(line[1]!)
    if (parts === null) return null
    const [, family, source, destination, from, to] = parts
    const is = family === '4' ? isIPv4 : isIPv6
    if (!is(source!) || !is(destination!) || `${source}${destination}`.includes('%')) return null
    if (Number(from) > 65_535 || Number(to) > 65_535) return null
    // IPv6 has many spellings: that one is left to the vectors above.
    return { address: family === '4' ? `${source}:${from}` : null, bytes: line[0].length }
  }
  if (input.length < 16 || !input.subarray(0, 12).equals(SIGNATURE)) return null
  const length = input.readUInt16BE(14)
  const [version, command] = [input[12]! >> 4, input[12]! & 15]
  const [family, transport] = [input[13]! >> 4, input[13]! & 15]
  if (version !== 2 || command > 1 || family > 3 || transport > 2 || input.length < 16 + length) return null
  if (command === 0 || family === 0) return { address: '', bytes: 16 + length }
  if (length < [0, 12, 36, 216][family]!) return null
  if (family === 2) return { address: null, bytes: 16 + length }
  const path = input.toString('latin1', 16, 124).split('\0')[0]!
  const address = family === 1 ? `${[...input.subarray(16, 20)].join('.')}:${input.readUInt16BE(24)}` : path
  return { address, bytes: 16 + length }
}

const LETTERS = Buffer.from('0123456789.: \r\nPROXYTCPUNKWabf%\0!\x21\x20\x11')

/** A few bytes of a good header replaced, inserted, dropped, doubled. */
function mutate(random: Random, header: Buffer): Buffer {
  let bytes = Buffer.from(header)
  for (let change = random.between(0, 3); change > 0; change--) {
    // Mostly where the header says something, not in its padding.
    const at = random.below(Math.min(bytes.length, random.chance(0.5) ? 20 : 300))
    const byte = random.chance(0.7) ? random.pick([...LETTERS]) : random.below(256)
    switch (random.below(4)) {
      case 0:
        bytes[at] = byte
        break
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([byte]), bytes.subarray(at)])
        break
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])
        break
      default:
        bytes = bytes.subarray(0, random.between(0, bytes.length))
    }
    if (bytes.length === 0) break
  }
  return bytes
}

test('100,000 mutated headers: every one is judged alike by the reference, whole and in random pieces', () => {
  const random = new Random(runSeed())
  const corpus = GOOD.map(([, header]) => header).filter(header => header.length < 1000)
  let [good, bad] = [0, 0]
  for (let round = 0; round < 100_000; round++) {
    const input = Buffer.concat([mutate(random, random.pick(corpus)), REQUEST])
    const whole = feed(input)
    const expected = reference(input)
    const context = `round ${round}: ${input.toString('hex')}`
    expect(whole.code === Parsed.complete, context).toBe(expected !== null)
    expect(whole.problem !== '', context).toBe(whole.code === Parsed.error)
    if (expected !== null) {
      good++
      expect(whole.bytes, context).toBe(expected.bytes)
      if (expected.address !== null) expect(whole.address, context).toBe(expected.address)
    } else {
      bad++
    }
    const pieces = feed(input, random.cuts(input.length, random.between(2, 6)))
    if (pieces.code !== whole.code || pieces.address !== whole.address || pieces.bytes !== whole.bytes) {
      expect(pieces, context).toEqual(whole)
    }
  }
  // Both kinds must have been met in numbers, or this says nothing.
  expect(good).toBeGreaterThan(10_000)
  expect(bad).toBeGreaterThan(10_000)
})
