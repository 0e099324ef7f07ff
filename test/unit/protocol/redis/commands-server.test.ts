/** The command table against the installed server's own: a line that is wrong, or a command that is missing, fails here. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { Parsed } from '../../../../src/protocol/parser.ts'
import {
  Action,
  COMMANDS,
  type Command,
  Flag,
  KeyForm,
  lookupCommand,
  UNKNOWN_COMMAND,
} from '../../../../src/protocol/redis/commands.ts'
import { KeyPositions } from '../../../../src/protocol/redis/key-positions.ts'
import { RespRequestParser } from '../../../../src/protocol/redis/request-parser.ts'
import { stopAll } from '../../../support/processes/child.ts'
import { ask, startRedis, type TestServer } from '../../../support/processes/servers.ts'
import { decode, encode } from '../../../support/wire/resp.ts'

type Entry = [name: string, arity: number, flags: string[], first: number, last: number, step: number]

/** Newer servers take an argument more. */
const NEWER_ARITY = new Set(['ZRANK', 'ZREVRANK'])
/** Containers: the server gives the key's place by subcommand. */
const BY_SUBCOMMAND = new Set(['OBJECT', 'XGROUP', 'XINFO'])
const FLAG_NAMES = {
  write: Flag.write,
  readonly: Flag.read,
  blocking: Flag.blocking,
  pubsub: Flag.pubsub,
  admin: Flag.admin,
  noscript: Flag.noScript,
  no_multi: Flag.noMulti,
} as const

let server: TestServer
let entries: Entry[]

beforeAll(async () => {
  server = await startRedis()
  const [reply] = await ask(server, ['COMMAND'])
  entries = (decode(reply!) as unknown as Entry[]).map(([name, ...rest]) => [name.toUpperCase(), ...rest])
})

afterAll(stopAll)

function known(name: string): Command {
  const bytes = Buffer.from(name)
  return lookupCommand(bytes, 0, bytes.length)
}

test('every command of the server is known', () => {
  expect(entries.length).toBeGreaterThan(200)
  expect(entries.map(([name]) => name).filter(name => known(name) === UNKNOWN_COMMAND)).toEqual([])
})

test('arity and flags are the server’s', () => {
  const differing = entries.filter(([name, arity, flags]) => {
    const command = known(name)
    const bits = Object.entries(FLAG_NAMES).reduce((sum, [flag, bit]) => sum | (flags.includes(flag) ? bit : 0), 0)
    const sameFlags = BY_SUBCOMMAND.has(name) || command.flags === bits
    return !sameFlags || (command.arity !== arity && !NEWER_ARITY.has(name))
  })
  expect(differing.map(([name, arity, flags]) => [name, arity, flags.join()])).toEqual([])
})

test('fixed key positions are the server’s', () => {
  const differing = entries.filter(([name, , flags, first, last, step]) => {
    const { keys, action } = known(name)
    if (action === Action.deny || flags.includes('movablekeys') || BY_SUBCOMMAND.has(name)) return false
    const spec = keys.form === KeyForm.none ? [0, 0, 0] : [keys.first, keys.last, keys.step]
    return spec.join() !== [first, last, first === 0 ? 0 : step].join()
  })
  expect(differing.map(([name, , , first, last, step]) => [name, first, last, step])).toEqual([])
})

/** Requests whose keys depend on their arguments, right and wrong. */
const REQUESTS: readonly string[] = [
  'GET a',
  'MSET a 1 b 2 c 3',
  'MSETNX a 1 b 2',
  'MGET a b c',
  'RENAME a b',
  'BITOP AND d a b c',
  'PFMERGE d a b',
  'EVAL s 2 a b c',
  'EVAL_RO s 1 a',
  'EVALSHA s 3 a b c d e',
  'FCALL f 2 a b',
  'FCALL_RO f 1 a x',
  'ZUNION 2 a b WITHSCORES',
  'ZINTER 3 a b c WEIGHTS 1 2 3',
  'ZDIFF 1 a',
  'ZINTERCARD 2 a b LIMIT 1',
  'ZUNIONSTORE d 2 a b AGGREGATE MAX',
  'ZDIFFSTORE d 1 a',
  'SINTERCARD 2 a b',
  'LMPOP 2 a b LEFT',
  'BLMPOP 0 2 a b LEFT',
  'ZMPOP 1 a MIN',
  'BZMPOP 1.5 2 a b MAX COUNT 3',
  'BLPOP a b c 0',
  'BRPOPLPUSH a b 0',
  'XREAD STREAMS a b 0 0',
  'XREAD COUNT 2 BLOCK 10 STREAMS a b $ $',
  'XREAD COUNT 2 STREAMS STREAMS b 0 0',
  'XREADGROUP GROUP STREAMS c COUNT 1 NOACK STREAMS a b > >',
  'SORT a',
  'SORT a BY w_* LIMIT 0 5 GET # GET o_* STORE d',
  'SORT a BY STORE STORE d',
  'SORT a STORE d STORE e',
  'GEORADIUS a 1 2 3 km STORE d',
  'GEORADIUS a 1 2 3 km COUNT 3 ASC STOREDIST d',
  'GEORADIUSBYMEMBER a m 3 km STORE d',
  'GEOSEARCHSTORE d a FROMMEMBER m BYRADIUS 1 km',
  'ZRANGESTORE d a 0 -1',
  'COPY a b REPLACE',
  'LCS a b LEN',
  'SMOVE a b m',
  'LMOVE a b LEFT RIGHT',
  'SUNIONSTORE d a b c',
  'WATCH a b',
  'OBJECT ENCODING a',
  'XGROUP CREATE a g 0',
  'XINFO STREAM a FULL',
]

function keysOf(request: readonly string[]): string[] | null {
  const bytes = encode(...request)
  const parser = new RespRequestParser()
  expect(parser.parse(bytes, 0, bytes.length)).toBe(Parsed.complete)
  const positions = new KeyPositions()
  if (!positions.find(parser, bytes)) return null
  return [...positions.args.subarray(0, positions.count)].map(arg => request[arg]!)
}

test.each(REQUESTS)('finds the keys that COMMAND GETKEYS names: %s', async text => {
  const request = text.split(' ')
  const [reply] = await ask(server, ['COMMAND', 'GETKEYS', ...request])
  expect(keysOf(request)).toEqual(decode(reply!))
})

test.each(['SORT a STORE', 'GEORADIUS a 1 2 3 km STOREDIST'])(
  'leaves a missing key to the server of the first: %s',
  text => {
    expect(keysOf(text.split(' '))).toEqual(['a'])
  },
)

test.each([
  'ZUNION x a',
  'ZUNION 2 a',
  'ZUNION -1 a',
  'EVAL s -1 a',
  'EVAL s 2 a',
  'EVAL s 1.0 a',
  'XREAD COUNT 1 a b',
  'XREAD STREAMS a b 0',
  'LCS a',
])('leaves to the server what is not of the form: %s', text => {
  expect(keysOf(text.split(' '))).toBeNull()
})

test('a key count of zero leaves no keys', () => {
  expect(keysOf(['EVAL', 'return 1', '0', 'x'])).toEqual([])
})

test('every name is found in any case of its letters, and nothing like it', () => {
  for (const command of COMMANDS) {
    expect(known(command.name)).toBe(command)
    expect(known(command.name.toLowerCase())).toBe(command)
    expect(known(`${command.name}X`)).not.toBe(command)
  }
  expect(new Set(COMMANDS.map(command => command.name)).size).toBe(COMMANDS.length)
})
