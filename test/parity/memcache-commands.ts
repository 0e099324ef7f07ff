/**
 * Random memcached commands as steps of a differential run: all that nutcracker knows, with plausible and odd arguments and spacing, over
 * keys that belong to one connection alone. Nothing expires during a run but what expires at once.
 */

import type { Random } from '../support/random.ts'
import { valueBlocks } from '../support/wire/memcache-wire.ts'
import type { Step } from './differential.ts'

export interface MemcacheCommandsOptions {
  /** Distinct among the connections of a run. */
  readonly connection: number
  /** true: this is the only connection, so both sides count the same cas uniques and `cas` can hit. */
  readonly alone: boolean
}

const PLAIN_KEYS = 16
const NUMBER_KEYS = 6
const WORD_KEYS = 2
const LONGEST_KEY_BYTES = 250
/** Never reached by a server's counter. */
const UNUSED_CAS = 1_000_000_000_000

export class MemcacheCommands {
  readonly keys: readonly string[]
  readonly #plainKeys: readonly string[]
  /** What incr and decr are for: six-digit numbers, which keep their width (see `#write`). */
  readonly #numberKeys: readonly string[]
  /** Hold a word, which incr and decr refuse. */
  readonly #wordKeys: readonly string[]
  readonly #random: Random
  readonly #alone: boolean
  readonly #noise: string
  readonly #names: string[]
  /** The last cas unique seen of each key. */
  readonly #cas = new Map<string, string>()

  constructor(random: Random, options: MemcacheCommandsOptions) {
    this.#random = random
    this.#alone = options.alone
    this.#noise = random.bytes(128 * 1024).toString('latin1')
    const make = (kind: string, count: number): string[] =>
      Array.from({ length: count }, (_, index) => this.#makeKey(`${options.connection}:${kind}${index}`))
    this.#plainKeys = make('k', PLAIN_KEYS)
    this.#numberKeys = make('number', NUMBER_KEYS)
    this.#wordKeys = make('word', WORD_KEYS)
    this.keys = [...this.#plainKeys, ...this.#numberKeys, ...this.#wordKeys]
    this.#names = Object.entries(WEIGHTS).flatMap(([name, weight]) => Array<string>(weight).fill(name))
  }

  next(): Step {
    const name = this.#random.pick(this.#names)
    if (name === 'get' || name === 'gets') return this.#retrieval(name)
    if (name === 'version') return step('version\r\n')
    if (name === 'touch') return this.#maybeSilent([name, this.#key(), this.#random.pick(['0', '100000', '-1'])], '')
    if (name === 'delete') return this.#maybeSilent([name, this.#key()], '')
    if (name === 'incr') return this.#maybeSilent([name, this.#countedKey(), this.#random.pick(INCREMENTS)], '')
    if (name === 'decr') return this.#maybeSilent([name, this.#countedKey(), this.#random.pick(DECREMENTS)], '')
    return this.#write(name)
  }

  /** Reads all keys: the last step of a stream, so that every request without a reply has been executed when it ends. */
  last(): Step {
    return step(`get ${this.keys.join(' ')}\r\n`)
  }

  /** Learns the cas uniques in a reply. */
  observe(made: Step, reply: Buffer): void {
    if (!this.#alone || made.compare !== 'exact') return
    for (const block of valueBlocks(reply)) if (block.cas !== '') this.#cas.set(block.key, block.cas)
  }

  #retrieval(name: string): Step {
    const count = this.#random.chance(0.5) ? 1 : this.#random.between(2, this.#random.chance(0.1) ? 60 : 8)
    const keys = Array.from({ length: count }, () => this.#key())
    const compare = name === 'gets' && !this.#alone ? 'cas' : 'exact'
    return { ...step(this.#line([name, ...keys])), compare }
  }

  /**
   * A command with data. Number keys are only ever set to six digits: memcached pads a shorter result of decr with a space, but only
   * when no reply that is still on its way refers to the item, so the stored bytes would depend on timing. For a value of white space
   * alone, incr reads past the item's end.
   */
  #write(name: string): Step {
    const special = name === 'set' && this.#random.chance(0.3)
    const key = special ? this.#countedKey() : this.#random.pick(this.#plainKeys)
    const value = special ? this.#countedValue(key) : this.#value()
    const flags = `${this.#random.below(0xffffffff)}`
    const fields = [name, key, flags, this.#random.pick(['0', '100000', '4000000000']), `${value.length}`]
    if (name === 'cas') fields.push(this.#cas.get(key) ?? `${UNUSED_CAS}`)
    return this.#maybeSilent(fields, `${value}\r\n`)
  }

  #countedKey(): string {
    return this.#random.chance(0.9) ? this.#random.pick(this.#numberKeys) : this.#random.pick(this.#wordKeys)
  }

  #countedValue(key: string): string {
    return this.#numberKeys.includes(key) ? `${this.#random.between(500_000, 600_000)}` : 'word'
  }

  #maybeSilent(fields: readonly string[], data: string): Step {
    const silent = this.#random.chance(0.12)
    return { ...step(this.#line(silent ? [...fields, 'noreply'] : fields) + data), silent }
  }

  /** Fields with one space between them, or now and then with the odd spacing that is allowed. */
  #line(fields: readonly string[]): string {
    if (this.#random.chance(0.9)) return `${fields.join(' ')}\r\n`
    const space = (): string => ' '.repeat(this.#random.between(1, 3))
    return `${this.#random.pick(['', ' '])}${fields.map(field => field + space()).join('')}\r\n`
  }

  #key(): string {
    return this.#random.pick(this.keys)
  }

  /** 0 to 100 KB; most are short, many are numbers, some look like the protocol. */
  #value(): string {
    const scale = this.#random.below(1000)
    if (scale < 50) return ''
    if (scale < 250) return this.#random.pick(PROTOCOL_LOOKALIKES)
    if (scale < 500) return `${this.#random.below(1_000_000)}`
    if (scale < 800) return this.#bytes(this.#random.between(1, 40))
    if (scale < 985) return this.#bytes(this.#random.between(40, 2000))
    return this.#bytes(scale < 997 ? this.#random.between(2000, 20_000) : this.#random.between(20_000, 100_000))
  }

  #bytes(length: number): string {
    const at = this.#random.below(this.#noise.length - length)
    return this.#noise.slice(at, at + length)
  }

  #makeKey(prefix: string): string {
    const choice = this.#random.below(10)
    if (choice < 5) return prefix
    if (choice < 6) return `${prefix}{tag${this.#random.below(3)}}`
    if (choice < 7) return prefix.padEnd(LONGEST_KEY_BYTES, 'k')
    const bytes = [...this.#bytes(this.#random.between(1, 60))].filter(char => !' \r\n\0'.includes(char))
    return prefix + bytes.join('')
  }
}

const WEIGHTS: Readonly<Record<string, number>> = {
  get: 30,
  gets: 12,
  set: 24,
  add: 5,
  replace: 5,
  append: 5,
  prepend: 5,
  cas: 6,
  incr: 5,
  decr: 5,
  delete: 6,
  touch: 5,
  version: 1,
}

const INCREMENTS = ['0', '1', '7', '1000', '18446744073709551615', '99999999999999999999999', '-1']
const DECREMENTS = ['0', '1', '7', '99999999999999999999999', '-1']

const PROTOCOL_LOOKALIKES = [
  '\r\n',
  'END\r\n',
  'VALUE a 0 1\r\nx\r\nEND\r\n',
  'STORED\r\n',
  'get a\r\n',
  'ERROR',
  'SERVER_ERROR x\r\n',
  ' noreply',
  '\0\r',
  '10',
]

function step(request: string): Step {
  const bytes = Buffer.from(request, 'latin1')
  return { request: bytes, reference: [bytes], compare: 'exact' }
}
