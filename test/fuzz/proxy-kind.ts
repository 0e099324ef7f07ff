/**
 * Mutated PROXY headers before good requests: a connection with a header is served under the address that the header says, one without is
 * closed without a word and nothing of it is processed. What a header is, is read here a second time, apart from the proxy's own parser.
 */

import { isIPv4, isIPv6 } from 'node:net'
import { Random } from '../support/random.ts'
import { encode, printable } from '../support/wire/resp.ts'
import { Fault } from './fault.ts'
import type { InjectedFault } from './injected-fault.ts'
import { type Case, Fork, type Kind } from './kind.ts'
import { loadCorpus, mutate } from './mutate.ts'
import { World } from './world.ts'

const ACTIVE_MS = 10_000
const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n'
const MOST_LINE_BYTES = 107
const FIXED_BYTES = 16
const ADDRESS_BYTES = [0, 12, 36, 216]
const REQUEST = encode('GET', 'key')

/** A header: `end` of it and the client's address ('' = the connection's own); or none, or only a part. */
type Header = { readonly end: number; readonly address: string } | 'none' | 'part'

export class ProxyKind implements Kind {
  readonly name = 'proxy-header'
  readonly share: number
  private readonly corpus = loadCorpus('proxy-headers.json')

  constructor(share: number) {
    this.share = share
  }

  make(seed: number): Case {
    const random = new Random(seed).fork(Fork.streams)
    // Mostly one header: a second one is a request.
    const header = mutate(random, this.corpus, random.chance(0.9) ? 1 : 2)
    return { seed, streams: [header] }
  }

  run(fuzzed: Case, injected: InjectedFault | null): void {
    const root = new Random(fuzzed.seed)
    const random = root.fork(Fork.options)
    const world = new World({
      random: root.fork(Fork.world),
      pool: { proxyProtocol: true, timeoutMs: 1_000 },
      servers: 1,
      delayMs: 1,
      isOdd: false,
      injected,
    })
    try {
      this.play(world, random, fuzzed.streams[0]!, injected)
    } finally {
      world.end()
    }
  }

  private play(world: World, random: Random, start: Buffer, injected: InjectedFault | null): void {
    const stream = Buffer.concat([start, REQUEST, REQUEST])
    const header = headerOf(stream)
    const peer = world.connect('proxied client')
    const [client] = world.poolClients.members
    const chunks: Buffer[] = []
    peer.onBytes = bytes => void chunks.push(bytes)
    peer.onEnd = () => peer.end()
    const cuts = random.chance(0.3) ? [] : random.cuts(stream.length, random.between(2, 40))
    world.loop.after(random.below(5), () => {
      peer.send(stream, cuts, random.pick([0, 0, 3]))
      // Without an end the proxy's own patience decides.
      if (random.chance(0.8) || typeof header !== 'string') peer.end()
    })
    world.runClients(ACTIVE_MS)
    const received = Buffer.concat(chunks)
    const shown = `${printable(stream)} is ${JSON.stringify(header)}, `
    const announced = injected?.isWrongResult ? 'injected' : client!.announced
    if (typeof header === 'string') {
      if (received.length > 0) throw new Fault('header', `${shown}answered with ${printable(received)}`)
      if (announced !== '') throw new Fault('header', `${shown}taken for ${announced}`)
      if (world.servers[0]!.requests > 0) throw new Fault('header', `${shown}and a server was asked`)
    } else {
      if (normal(announced) !== header.address)
        throw new Fault('header', `${shown}read as ${JSON.stringify(announced)}`)
      const isClean = header.end === start.length
      if (isClean && world.servers[0]!.requests !== 2)
        throw new Fault('header', `${shown}and the requests were not served`)
    }
    world.rest()
  }
}

function headerOf(bytes: Buffer): Header {
  const text = bytes.toString('latin1')
  if (text.startsWith('PROXY ')) return lineOf(text)
  if (text.startsWith(SIGNATURE)) return binaryOf(bytes)
  return 'PROXY '.startsWith(text) || SIGNATURE.startsWith(text) ? 'part' : 'none'
}

/** Version 1. @param text one char a byte. */
function lineOf(text: string): Header {
  const line = text.indexOf('\n')
  if (line < 0 || line >= MOST_LINE_BYTES) return text.length < MOST_LINE_BYTES && line < 0 ? 'part' : 'none'
  if (text[line - 1] !== '\r') return 'none'
  const [, family, source = '', destination = '', sourcePort = '', destinationPort = '', ...more] = text
    .slice(0, line - 1)
    .split(' ')
  const end = line + 1
  if (family === 'UNKNOWN') return { end, address: '' }
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIPv6 : () => false
  const ports = [sourcePort, destinationPort]
  const isGood = isAddress(source) && isAddress(destination) && more.length === 0
  if (!isGood || !ports.every(port => /^(0|[1-9]\d{0,4})$/.test(port) && Number(port) < 65_536)) return 'none'
  return { end, address: family === 'TCP4' ? `${source}:${sourcePort}` : `[${shortest(source)}]:${sourcePort}` }
}

function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%')
}

/** An address as the log has it, which writes the last 32 bits of some as IPv4. */
function normal(address: string): string {
  const mapped = /^\[(.*)\](:\d+)$/.exec(address)
  return mapped === null ? address : `[${shortest(mapped[1]!)}]${mapped[2]}`
}

/** RFC 5952's form, as a URL has it. */
function shortest(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1)
}

/** Version 2. */
function binaryOf(bytes: Buffer): Header {
  if (bytes.length < FIXED_BYTES) return 'part'
  const version = bytes[12]! >> 4
  const command = bytes[12]! & 15
  const family = bytes[13]! >> 4
  const transport = bytes[13]! & 15
  if (version !== 2 || command > 1 || family > 3 || transport > 2) return 'none'
  const length = bytes.readUInt16BE(14)
  const needed = command === 0 ? 0 : ADDRESS_BYTES[family]!
  if (length < needed) return 'none'
  const end = FIXED_BYTES + length
  if (bytes.length < end) return 'part'
  if (command === 0 || family === 0) return { end, address: '' }
  if (family === 1) return { end, address: `${[...bytes.subarray(16, 20)].join('.')}:${bytes.readUInt16BE(24)}` }
  if (family === 3) return { end, address: bytes.toString('latin1', 16, 124).split('\0')[0]! }
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(16 + i * 2).toString(16))
  return { end, address: `[${shortest(groups.join(':'))}]:${bytes.readUInt16BE(48)}` }
}
