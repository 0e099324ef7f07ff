/**
 * A redis-server for the fuzz: strict about what it is sent, and its replies name the client that
 * they are for. A value it gives names the owner tokens of the request; what it gives for a
 * witness's key follows from the key alone.
 */

import type { Random } from '../support/random.ts'
import { printable } from '../support/wire/resp.ts'
import { Fault } from './fault.ts'
import type { Model, ModelReply } from './model-server.ts'
import { isWitnessKey, type Marks, witnessValue } from './tokens.ts'

const CRLF = '\r\n'
/** Longest bulk that a redis-server takes (`proto-max-bulk-len`). */
const MOST_BULK_BYTES = 536_870_912
const MOST_ARGUMENTS = 1_048_576
/** How long a blocking command waits at most, ms. */
const MOST_WAIT_MS = 60
/** Share of the fuzzed requests that may get what the command does not give. */
const ODD_SHARE = 0.02

const ODD_REPLIES = ['-ERR odd\r\n', '$-1\r\n', '*0\r\n', ':7\r\n', '+ODD\r\n', '*-1\r\n', '*2\r\n$1\r\nx\r\n:1\r\n']

export function bulk(text: string): string {
  return `$${text.length}${CRLF}${text}${CRLF}`
}

export function array(items: readonly string[]): string {
  return `*${items.length}${CRLF}${items.join('')}`
}

/** What every redis-server says to a request whose keys are all a witness's. */
export function witnessReply(name: string, keys: readonly string[]): string {
  switch (name) {
    case 'GET':
      return bulk(witnessValue(keys[0]!))
    case 'MGET':
      return array(keys.map(key => bulk(witnessValue(key))))
    case 'DEL':
      return `:${keys.length}${CRLF}`
    default:
      return `+OK${CRLF}`
  }
}

export class RedisModel implements Model {
  private readonly random: Random
  private readonly marks: Marks
  private readonly oddShare: number
  private resp3 = false
  private odd = false
  /** Replies of the commands of a transaction; null = none is open. */
  private queued: string[] | null = null
  private readonly channels = new Set<string>()

  /** @param isOdd now and then it says what no healthy server does. */
  constructor(random: Random, marks: Marks, isOdd: boolean) {
    this.oddShare = isOdd ? ODD_SHARE : 0
    this.random = random
    this.marks = marks
  }

  /** @returns where the request that begins at `at` ends, or -1 while it is not whole. */
  requestEnd(bytes: Buffer, at: number): number {
    const count = this.length(bytes, at, '*', MOST_ARGUMENTS)
    if (count === null) return -1
    let position = count.end
    for (let i = 0; i < count.value; i++) {
      const size = this.length(bytes, position, '$', MOST_BULK_BYTES)
      if (size === null) return -1
      position = size.end + size.value + 2
      if (position > bytes.length) return -1
      if (bytes.toString('latin1', position - 2, position) !== CRLF) refuse(bytes, at, 'no CRLF after an argument')
    }
    return position
  }

  private length(bytes: Buffer, at: number, type: string, most: number): { value: number; end: number } | null {
    if (at >= bytes.length) return null
    if (bytes[at] !== type.charCodeAt(0)) refuse(bytes, at, `no '${type}'`)
    const line = bytes.indexOf(CRLF, at, 'latin1')
    if (line < 0) {
      if (bytes.length - at > 40) refuse(bytes, at, 'no end of the line')
      return null
    }
    const text = bytes.toString('latin1', at + 1, line)
    // As strict as Redis's string2ll.
    if (!/^(0|[1-9]\d*)$/.test(text) || Number(text) > most) refuse(bytes, at, `no length: '${text}'`)
    return { value: Number(text), end: line + 2 }
  }

  answer(request: Buffer): ModelReply {
    const args = argumentsOf(request)
    const name = args[0]!.toUpperCase()
    const owned = args.length > 1 && isWitnessKey(args[1]!)
    this.odd = false
    const text = this.reply(name, args, owned)
    const isBlocking = /^(B[LRZ]|XREAD)/.test(name)
    return {
      bytes: Buffer.from(text, 'latin1'),
      waitMs: isBlocking ? this.random.below(MOST_WAIT_MS) : 0,
      odd: this.odd,
      witnessKeys: owned ? keysOf(name, args) : [],
    }
  }

  private reply(name: string, args: readonly string[], owned: boolean): string {
    const session = this.sessionReply(name, args)
    if (session !== null) return session
    const reply = owned ? witnessReply(name, keysOf(name, args)) : this.plainReply(name, args)
    if (this.queued === null) return reply
    this.queued.push(reply)
    return `+QUEUED${CRLF}`
  }

  /** Replies of commands that change what the next ones mean. */
  private sessionReply(name: string, args: readonly string[]): string | null {
    switch (name) {
      case 'CLIENT':
        if (args[1]?.toUpperCase() === 'REPLY') throw new Fault('bad request', 'CLIENT REPLY reached a server')
        return null
      case 'MONITOR':
      case 'QUIT':
      case 'RESET':
        throw new Fault('bad request', `${name} reached a server`)
      case 'HELLO':
        this.resp3 = args[1] === '3'
        return `${this.resp3 ? '%1' : '*2'}${CRLF}${bulk('proto')}:${this.resp3 ? 3 : 2}${CRLF}`
      case 'MULTI':
        if (this.queued !== null) return `-ERR MULTI calls can not be nested${CRLF}`
        this.queued = []
        return `+OK${CRLF}`
      case 'DISCARD':
      case 'EXEC': {
        const { queued } = this
        if (queued === null) return `-ERR ${name} without MULTI${CRLF}`
        this.queued = null
        return name === 'EXEC' ? array(queued) : `+OK${CRLF}`
      }
      default:
        return /^[PS]?(UN)?SUBSCRIBE$/.test(name) ? this.subscribe(name, args.slice(1)) : null
    }
  }

  private subscribe(name: string, channels: readonly string[]): string {
    const isEnd = name.includes('UNSUB')
    const all = isEnd && channels.length === 0 ? [...this.channels] : channels
    const head = this.resp3 ? '>3' : '*3'
    const kind = bulk(name.toLowerCase())
    if (all.length === 0) return `${head}${CRLF}${kind}${isEnd ? '$-1' : ''}${CRLF}:0${CRLF}`
    const parts = all.map(channel => {
      if (isEnd) this.channels.delete(channel)
      else this.channels.add(channel)
      return `${head}${CRLF}${kind}${bulk(channel)}:${this.channels.size}${CRLF}`
    })
    return parts.join('')
  }

  private plainReply(name: string, args: readonly string[]): string {
    if (this.random.chance(this.oddShare)) {
      this.odd = true
      return this.random.pick(ODD_REPLIES)
    }
    const keys = args.slice(1)
    switch (name) {
      case 'PING':
        return this.channels.size > 0 && !this.resp3 ? array([bulk('pong'), bulk('')]) : `+PONG${CRLF}`
      case 'SET':
      case 'MSET':
      case 'AUTH':
      case 'SELECT':
      case 'WATCH':
      case 'UNWATCH':
      case 'FLUSHALL':
        return `+OK${CRLF}`
      case 'DEL':
      case 'UNLINK':
      case 'TOUCH':
      case 'EXISTS':
        return `:${keys.length}${CRLF}`
      case 'DBSIZE':
      case 'PUBLISH':
        return `:3${CRLF}`
      case 'MGET':
      case 'SINTER':
      case 'SUNION':
      case 'SDIFF':
      case 'KEYS':
        return array(keys.map(key => bulk(this.marks.name([key]))))
      case 'SCAN':
        return array([bulk('0'), array([bulk('x'), bulk('y')])])
      default:
        return bulk(this.marks.name(args, name === 'GET'))
    }
  }
}

function refuse(bytes: Buffer, at: number, why: string): never {
  throw new Fault('bad request', `a redis-server was sent ${printable(bytes.subarray(at), 200)}: ${why}`)
}

/** @param request whole and well formed. One char a byte. */
function argumentsOf(request: Buffer): string[] {
  const args: string[] = []
  for (let at = request.indexOf(CRLF, 0, 'latin1') + 2; at < request.length; ) {
    const line = request.indexOf(CRLF, at, 'latin1')
    const length = Number(request.toString('latin1', at + 1, line))
    args.push(request.toString('latin1', line + 2, line + 2 + length))
    at = line + 2 + length + 2
  }
  return args
}

function keysOf(name: string, args: readonly string[]): string[] {
  if (name === 'SET') return args.slice(1, 2)
  return args.slice(1).filter((_, index) => name !== 'MSET' || index % 2 === 0)
}
