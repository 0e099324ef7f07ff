/** Random requests after the grammar of the server's table: most of them valid, on a few keys of every type, some of them damaged. */

import { COMMANDS } from '../../src/protocol/redis/commands.ts'
import type { Random } from '../support/random.ts'
import { type Comparison, EXACT } from './compare.ts'
import type { Argument, Grammar } from './grammar.ts'

export interface RandomRequest {
  /** One char a byte. */
  readonly args: readonly string[]
  readonly compare: Comparison
}

/**
 * Left out, each for a reason: they change or tell of one server or connection, not of data (the conversations of `cases/` have them), would
 * block without end, or answer nothing that two servers share.
 */
const LEFT_OUT = new Set(
  (
    'ACL ASKING AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND CONFIG DEBUG DISCARD EXEC FAILOVER HELLO INFO LASTSAVE LATENCY LOLWUT MEMORY ' +
    'MIGRATE MODULE MONITOR MOVE MULTI PFDEBUG PFSELFTEST PSUBSCRIBE PSYNC PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE REPLCONF ' +
    'REPLICAOF RESET RESTORE-ASKING ROLE SAVE SELECT SHUTDOWN SLAVEOF SLOWLOG SPOP SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE SWAPDB SYNC TIME ' +
    'UNSUBSCRIBE WATCH UNWATCH'
  ).split(' '),
)
/** A pool says of others that they are unknown. */
const KNOWN: ReadonlySet<string> = new Set(COMMANDS.map(command => command.name))
const LEFT_OUT_SUBCOMMANDS = new Set(['SCRIPT DEBUG', 'SCRIPT SHOW', 'SCRIPT KILL', 'FUNCTION KILL', 'FUNCTION STATS'])

/** Empty everything: seldom, or nothing would ever be there. So are those that block, which take their time. */
const EMPTYING = new Set(['FLUSHALL', 'FLUSHDB'])

/** Types of keys; each has names of its own, so that most requests meet what they are for. */
const GROUPS = ['string', 'list', 'set', 'sorted-set', 'hash', 'stream', 'geo', 'hyperloglog', 'bitmap']
/** The tags are of different servers where there are three: `a`, `b` and `c`. */
const KEY_NAMES = ['{one}1', '{one}2', '{news}1', '{three}1']
const KEY_PATTERN = /:\{\w+\}\d$/

const FAR_FUTURE_SECONDS = 33_177_117_420
/** All the scripts that requests have. */
export const SCRIPTS = [
  'return KEYS[1]',
  'return {KEYS, ARGV}',
  "return redis.call('TYPE', KEYS[1])",
  "return redis.call('GET', KEYS[1])",
  "return redis.error_reply('ERR mine')",
  'return {1, 2.5, false, "x"}',
  'return +',
]
const LIBRARIES = [
  "#!lua name=lib\nredis.register_function('f', function(keys, args) return {keys, args} end)",
  "#!lua name=other\nredis.register_function('g', function(keys, args) return 1 end)",
  '#!lua name=bad\nreturn +',
]

/** What the wire must bear: empty, long, binary, and what looks like RESP. */
const ODD_ARGUMENTS = [
  '',
  // Valkey 9.1 quotes line ends as they are in some errors, which breaks its own protocol.
  ...(process.env.REDIS_COMMAND === undefined ? ['\r\n', '$3\r\nfoo'] : []),
  '\x00\xff',
  '-1',
  '0',
  '18446744073709551616',
  '1e400',
  'nan',
  '*',
  'x'.repeat(5000),
]

export class RandomRequests {
  readonly #random: Random
  readonly #grammars: readonly Grammar[]

  /** @param without more commands to leave out: upper case words. */
  constructor(random: Random, grammars: readonly Grammar[], without: readonly string[] = []) {
    this.#random = random
    this.#grammars = grammars.filter(({ words }) => {
      const name = words.join(' ')
      return (
        KNOWN.has(words[0]!) && !LEFT_OUT.has(words[0]!) && !LEFT_OUT_SUBCOMMANDS.has(name) && !without.includes(name)
      )
    })
  }

  /** Names of the commands that are drawn from. */
  get names(): string[] {
    return [...new Set(this.#grammars.map(({ words }) => words[0]!))]
  }

  /** One request, or a whole transaction. */
  next(): RandomRequest[] {
    if (!this.#random.chance(0.03)) return [this.#one(false)]
    const body = Array.from({ length: this.#random.below(6) }, () => this.#one(true))
    const queued = body.filter(({ compare }) => compare.name === 'exact').map(({ args }) => args)
    const end = this.#random.chance(0.8) ? 'EXEC' : 'DISCARD'
    return [['MULTI'], ...queued, [end]].map(args => ({ args, compare: EXACT }))
  }

  #one(inTransaction: boolean): RandomRequest {
    const grammar = this.#random.pick(this.#grammars)
    if (inTransaction && !isTransactional(grammar)) return this.#one(inTransaction)
    const seldom = EMPTYING.has(grammar.words[0]!) || grammar.flags.has('blocking')
    if (seldom && this.#random.chance(0.9)) return this.#one(inTransaction)
    const args = [...grammar.words, ...grammar.arguments.flatMap(argument => this.#argument(argument, grammar))]
    if (this.#random.chance(0.5)) args[0] = args[0]!.toLowerCase()
    countKeys(grammar, args, this.#random)
    if (isDamageable(grammar, inTransaction) && this.#random.chance(0.15)) this.#damage(args)
    // Ids that the clock gives differ.
    const fixed = grammar.words[0] === 'XADD' ? args.map(arg => (arg === '*' ? '5-*' : arg)) : args
    return { args: fixed, compare: comparisonOf(grammar) }
  }

  #damage(args: string[]): void {
    const at = this.#random.between(1, args.length)
    const choice = this.#random.below(4)
    if (choice === 0) args.splice(at, 1)
    else if (choice === 1) args.splice(at, 0, this.#random.pick(ODD_ARGUMENTS))
    else if (choice === 2) args.splice(at, 1, this.#random.pick(ODD_ARGUMENTS))
    else args.length = at
  }

  #argument(argument: Argument, grammar: Grammar): string[] {
    // A pool is database 0.
    if (argument.token === 'DB') return []
    if (argument.optional && this.#random.chance(0.6)) return []
    const times = argument.multiple ? this.#random.between(1, 3) : 1
    const found: string[] = []
    for (let time = 0; time < times; time++) {
      const isToken = argument.type === 'pure-token'
      if (argument.token !== '' && !isToken && (time === 0 || argument.repeatsToken)) found.push(argument.token)
      found.push(...this.#value(argument, grammar))
    }
    return found
  }

  #value(argument: Argument, grammar: Grammar): string[] {
    const random = this.#random
    switch (argument.type) {
      case 'pure-token':
        return [argument.token]
      case 'oneof':
        return this.#argument(required(random.pick(argument.arguments)), grammar)
      case 'block':
        return argument.arguments.flatMap(inner => this.#argument(inner, grammar))
      case 'key':
        return [this.#key(grammar.group)]
      case 'integer':
        return [this.#integer(argument.name, grammar)]
      case 'double':
        return [argument.name === 'timeout' ? '0.001' : random.pick(['1', '2.5', '-3', '1e3', 'inf', '0.1'])]
      case 'unix-time':
        return [`${FAR_FUTURE_SECONDS}${argument.name.includes('milli') ? '000' : ''}`]
      case 'pattern':
        return [random.pick(['*', 'm*', 'string:{one}?', '[a-m]*', 'w*->f'])]
      default:
        return [this.#string(argument.name, grammar)]
    }
  }

  #key(group: string): string {
    const own = GROUPS.includes(group) && this.#random.chance(0.9)
    return `${own ? group : this.#random.pick(GROUPS)}:${this.#random.pick(KEY_NAMES)}`
  }

  #integer(name: string, grammar: Grammar): string {
    const random = this.#random
    if (name === 'timeout' || name === 'milliseconds') return grammar.flags.has('blocking') ? '1' : '1000000'
    if (name.includes('time') || name === 'seconds' || name === 'ttl')
      return random.pick(['1000000', '2000000', '0', '-1'])
    if (name === 'cursor') return '0'
    if (name === 'numreplicas') return '0'
    if (name === 'offset') return `${random.between(0, 200)}`
    return random.chance(0.9) ? `${random.between(-3, 12)}` : random.pick(['100000', '-9223372036854775808', 'x'])
  }

  #string(name: string, grammar: Grammar): string {
    const random = this.#random
    if (name === 'script') return random.pick(SCRIPTS)
    if (name === 'library-code') return random.pick(LIBRARIES)
    if (name === 'function') return random.pick(['f', 'g', 'h'])
    if (name === 'sha1') return random.pick(['4a2267357833227dd98abdedb8cf24b15a986445', 'f'.repeat(40)])
    if (name.includes('id') && grammar.group === 'stream')
      return random.pick(['0', '1-1', `${random.between(1, 900)}-${random.below(3)}`, '-', '+'])
    if (name === 'min' || name === 'start') return random.pick(['-inf', '(1', '-', '[a', '0'])
    if (name === 'max' || name === 'stop' || name === 'end') return random.pick(['+inf', '5', '+', '(m3', '-1'])
    if (name === 'group' || name === 'consumer' || name === 'groupname') return random.pick(['g', 'h'])
    if (name === 'encoding') return random.pick(['u8', 'i5', 'u63', 'x9'])
    if (random.chance(0.05)) return random.pick(ODD_ARGUMENTS)
    if (random.chance(0.2)) return `${random.between(-20, 100)}`
    return `m${random.below(8)}`
  }
}

/** A transaction is for the server of its keys, and its replies come in one. */
function isTransactional({ tips, flags, arguments: all }: Grammar): boolean {
  return tips.size === 0 && !flags.has('noscript') && hasKeys(all)
}

/**
 * A damaged timeout may be 0, which is for ever. A pool of several servers has cursors of its own. In a transaction whose server is not known
 * yet, or that is lost already, what is wrong with a request may be told by EXEC only.
 */
function isDamageable({ words, flags }: Grammar, inTransaction: boolean): boolean {
  return !inTransaction && !flags.has('blocking') && words[0] !== 'SCAN'
}

function hasKeys(all: readonly Argument[]): boolean {
  return all.some(({ type, arguments: inner }) => type === 'key' || hasKeys(inner))
}

function required(argument: Argument): Argument {
  return { ...argument, optional: false }
}

/** Puts the number of keys where the grammar has it, mostly. */
function countKeys(grammar: Grammar, args: string[], random: Random): void {
  const at = grammar.arguments.findIndex(argument => argument.name === 'numkeys')
  if (at < 0) return
  const position = grammar.words.length + at
  let keys = 0
  while (KEY_PATTERN.test(args[position + 1 + keys] ?? '')) keys++
  if (random.chance(0.95)) args[position] = `${keys}`
}

const UNORDERED: Comparison = { name: 'unordered', argument: '' }
const TYPE: Comparison = { name: 'type', argument: '' }

/** Times to live and idle times move on while the request is under way. */
const MOVING = new Set(['TTL', 'PTTL', 'OBJECT IDLETIME', 'EXPIRETIME', 'PEXPIRETIME'])
const NEAR: Comparison = { name: 'near', argument: '5000' }

/** Sets come as their table has them, also where the table of commands does not say so. */
const UNORDERED_NAMES = new Set(['SORT', 'SORT_RO', 'SINTER', 'SUNION', 'SDIFF', 'SMEMBERS', 'KEYS', 'FUNCTION LIST'])
const ANY_OF_A_TYPE = new Set(['DUMP', 'FUNCTION DUMP', 'XINFO STREAM', 'XINFO CONSUMERS', 'XPENDING', 'XADD'])

function comparisonOf(grammar: Grammar): Comparison {
  const name = grammar.words.join(' ')
  if (MOVING.has(name)) return NEAR
  if (ANY_OF_A_TYPE.has(name) || grammar.tips.has('nondeterministic_output')) return TYPE
  return UNORDERED_NAMES.has(name) || grammar.tips.has('nondeterministic_output_order') ? UNORDERED : EXACT
}
