/** Commands that are not in our table: those of modules, and of servers newer than it. The servers are fakes whose COMMAND says more. */

import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { type Action, type FakeServer, startFakeServer } from '../../support/fakes/fake-server.ts'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, startProxy } from '../../support/processes/proxy.ts'
import { waitUntil } from '../../support/wait.ts'
import { closeTalks, Talk } from '../../support/wire/redis-pool.ts'
import { decode, encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

type Value = string | number | null | readonly Value[]

function wire(value: Value): string {
  if (value === null) return '$-1\r\n'
  if (typeof value === 'number') return `:${value}\r\n`
  if (typeof value === 'string') return `$${value.length}\r\n${value}\r\n`
  return `*${value.length}\r\n${value.map(wire).join('')}`
}

interface KeySpecs {
  readonly flags?: readonly string[]
  readonly index?: number
  readonly keyword?: string
  /** Of a range: last key, step. */
  readonly range?: readonly [number, number]
  /** Of a count: its place, that of the first key, step. */
  readonly keynum?: readonly [number, number, number]
}

function spec({ flags = ['RW'], index = 1, keyword, range = [0, 1], keynum }: KeySpecs): Value {
  const begin: Value =
    keyword === undefined
      ? ['type', 'index', 'spec', ['index', index]]
      : ['type', 'keyword', 'spec', ['keyword', keyword, 'startfrom', 1]]
  const find: Value =
    keynum === undefined
      ? ['type', 'range', 'spec', ['lastkey', range[0], 'keystep', range[1], 'limit', 0]]
      : ['type', 'keynum', 'spec', ['keynumidx', keynum[0], 'firstkey', keynum[1], 'keystep', keynum[2]]]
  return ['flags', flags, 'begin_search', begin, 'find_keys', find]
}

function entry(
  name: string,
  arity: number,
  flags: readonly string[],
  keys: readonly [number, number, number],
  specs: readonly Value[] = [],
  subcommands: readonly Value[] = [],
): Value {
  return [name, arity, flags, ...keys, ['@all'], [], specs, subcommands]
}

const KNOWN: readonly Value[] = [
  entry('get', 2, ['readonly'], [1, 1, 1], [spec({})]),
  entry('debug', -2, ['admin'], [0, 0, 0]),
]

const MODULE: readonly Value[] = [
  entry('new.set', 3, ['write'], [1, 1, 1], [spec({})]),
  entry('new.copy', -3, ['write'], [1, 2, 1], [spec({}), spec({ index: 2 })]),
  entry('new.many', -3, ['readonly', 'movablekeys'], [0, 0, 0], [spec({ index: 2, keynum: [0, 1, 1] })]),
  entry('new.store', -4, ['write', 'movablekeys'], [1, 1, 1], [spec({}), spec({ index: 2, keynum: [0, 1, 1] })]),
  entry('new.search', -2, ['readonly'], [0, 0, 0]),
  entry('new.opaque', -2, ['readonly', 'movablekeys'], [0, 0, 0], [spec({ flags: ['RW', 'incomplete'] })]),
  entry('new.word', -2, ['readonly', 'movablekeys'], [0, 0, 0], [spec({ keyword: 'KEYS' })]),
  entry('new.wait', -2, ['write', 'blocking'], [1, 1, 1], [spec({})]),
  entry('new.listen', -2, ['pubsub'], [0, 0, 0]),
  entry('new.box', -2, [], [0, 0, 0], [], [entry('new.box|look', 3, ['readonly'], [2, 2, 1], [spec({ index: 2 })])]),
]

class Servers {
  readonly fakes: FakeServer[] = []
  /** What each server's COMMAND says; null = an error. */
  readonly commands: (readonly Value[] | null)[] = []
  proxy!: RunningProxy

  async start(
    commands: readonly (readonly Value[] | null)[],
    keys: Record<string, string | boolean> = {},
  ): Promise<void> {
    for (const [index, own] of commands.entries()) {
      this.commands.push(own)
      this.fakes.push(await startFakeServer('redis', request => this.answer(index, request)))
    }
    const servers = this.fakes.map(({ port }, i) => `127.0.0.1:${port}:1 s${i}`)
    const yml = poolYml({ keys: { redis: true, hash_tag: '"{}"', ...keys }, servers })
    this.proxy = await startProxy({ kind: 'pistachio', yml })
  }

  /** Every command answers with its server's index and its own name. */
  private answer(index: number, request: Buffer): Action {
    const [name, ...args] = decode(request) as string[]
    const reply = (text: string): Action => ({ do: 'reply', bytes: Buffer.from(text) })
    const commands = this.commands[index]!
    switch (name!.toUpperCase()) {
      case 'COMMAND': {
        if (commands === null) return reply('-ERR unknown command\r\n')
        if (args[0]?.toUpperCase() === 'LIST') return reply(wire(commands.map(each => (each as Value[])[0]!)))
        if (args[0]?.toUpperCase() === 'DOCS')
          return reply(wire(commands.flatMap(each => [(each as Value[])[0]!, ['summary', 'x']])))
        if (args[0]?.toUpperCase() !== 'INFO') return reply(wire(commands))
        return reply(wire(args.slice(1).map(arg => commands.find(each => (each as Value[])[0] === arg) ?? null)))
      }
      case 'NEW.WAIT':
        return { do: 'nothing' }
      case 'NEW.DIE':
        return { do: 'close' }
      case 'NEW.UNKNOWN':
        return reply('-ERR unknown command, says the server\r\n')
      case 'EXEC':
        return reply('*1\r\n+done\r\n')
      case 'MULTI':
        return reply('+OK\r\n')
      default:
        return reply(`+${index} ${name}\r\n`)
    }
  }

  async talk(): Promise<Talk> {
    return new Talk(await Wire.open({ port: this.proxy.ports[0]! }))
  }

  /** Requests of a name that any server has got. */
  requests(name: string): number {
    return this.fakes.flatMap(({ requests }) => requests).filter(each => (decode(each) as string[])[0] === name).length
  }
}

const started: Servers[] = []

async function serve(
  commands: readonly (readonly Value[] | null)[],
  keys: Record<string, string | boolean> = {},
): Promise<{ servers: Servers; talk: Talk }> {
  const servers = new Servers()
  started.push(servers)
  await servers.start(commands, keys)
  return { servers, talk: await servers.talk() }
}

afterEach(async () => {
  closeTalks()
  for (const { fakes } of started.splice(0)) for (const fake of fakes) await fake.stop()
})
afterAll(stopAll)

/** A key of each server of two. */
async function keysOf(talk: Talk): Promise<string[]> {
  const keys: string[] = []
  for (let i = 0; keys.filter(key => key !== undefined).length < 2; i++) {
    const owner = Number((await talk.say('GET', `k${i}`))[1])
    keys[owner] ??= `k${i}`
  }
  return keys
}

describe('a pool of one server', () => {
  test('passes on what it does not know, and the server’s own errors back', async () => {
    const { servers, talk } = await serve([[...KNOWN, ...MODULE]])
    expect(await talk.say('NEW.SEARCH', 'idx', '*')).toBe('+0 NEW.SEARCH\r\n')
    expect(await talk.say('new.set', 'k', 'v')).toBe('+0 new.set\r\n')
    expect(await talk.say('NEW.OPAQUE', 'x')).toBe('+0 NEW.OPAQUE\r\n')
    expect(await talk.say('NEW.UNKNOWN')).toBe('-ERR unknown command, says the server\r\n')
    expect(servers.requests('COMMAND')).toBe(1)
    expect(servers.proxy.log()).not.toContain('unsupported command')
  })

  test('in a transaction, too', async () => {
    const { talk } = await serve([[...KNOWN, ...MODULE]])
    await talk.say('MULTI')
    expect(await talk.say('NEW.SEARCH', 'idx', '*')).toBe('+QUEUED\r\n')
    expect(await talk.say('EXEC')).toBe('*1\r\n+done\r\n')
  })

  test('keeps the order of a pipeline', async () => {
    const { talk } = await serve([[...KNOWN, ...MODULE]])
    talk.sendAll(['GET', 'a'], ['NEW.SEARCH', 'idx'], ['PING'], ['NEW.SET', 'k', 'v'], ['GET', 'b'])
    expect(await talk.hear(5)).toEqual(['+0 GET\r\n', '+0 NEW.SEARCH\r\n', '+PONG\r\n', '+0 NEW.SET\r\n', '+0 GET\r\n'])
  })

  test('passes on without knowing, where the server does not tell of its commands', async () => {
    const { talk } = await serve([null])
    expect(await talk.say('NEW.SEARCH', 'idx')).toBe('+0 NEW.SEARCH\r\n')
  })

  test('gives what blocks a connection of its own', async () => {
    const { talk, servers } = await serve([[...KNOWN, ...MODULE]], { timeout: '200' })
    const other = await servers.talk()
    talk.send('NEW.WAIT', 'k')
    await waitUntil(() => servers.requests('NEW.WAIT') === 1, 'the blocking command')
    expect(await other.say('GET', 'a')).toBe('+0 GET\r\n')
  })

  test('refuses what would bring messages to others, or end their connection', async () => {
    const { talk, servers } = await serve([[...KNOWN, ...MODULE]])
    expect(await talk.say('NEW.LISTEN', 'x')).toBe("-ERR unsupported command 'new.listen'\r\n")
    expect(await talk.say('POST', '/')).toMatch(/^-ERR unknown command 'POST'/)
    expect(servers.requests('POST') + servers.requests('NEW.LISTEN')).toBe(0)
  })

  test('neither asks nor passes on for a client that has not said the password', async () => {
    const { talk, servers } = await serve([[...KNOWN, ...MODULE]], { redis_auth: 'secret' })
    expect(await talk.say('NEW.SEARCH', 'idx')).toMatch(/^-ERR unknown command 'NEW.SEARCH'/)
    expect(servers.requests('COMMAND') + servers.requests('NEW.SEARCH')).toBe(0)
    await talk.say('AUTH', 'secret')
    expect(await talk.say('NEW.SEARCH', 'idx')).toBe('+0 NEW.SEARCH\r\n')
    // What is known now is a command for everyone.
    const other = await servers.talk()
    expect(await other.say('NEW.SEARCH', 'idx')).toBe('-NOAUTH Authentication required\r\n')
  })
})

describe('a pool of several servers', () => {
  test('routes what has certain keys', async () => {
    const { talk } = await serve([
      [...KNOWN, ...MODULE],
      [...KNOWN, ...MODULE],
    ])
    const keys = await keysOf(talk)
    for (const [index, key] of keys.entries()) {
      expect(await talk.say('NEW.SET', key, 'v')).toBe(`+${index} NEW.SET\r\n`)
      expect(await talk.say('NEW.COPY', key, key)).toBe(`+${index} NEW.COPY\r\n`)
      expect(await talk.say('NEW.MANY', 'x', 2, key, key, 'y')).toBe(`+${index} NEW.MANY\r\n`)
      expect(await talk.say('NEW.STORE', key, 1, key, 'y')).toBe(`+${index} NEW.STORE\r\n`)
      expect(await talk.say('NEW.BOX', 'LOOK', key)).toBe(`+${index} NEW.BOX\r\n`)
    }
    for (const request of [
      ['NEW.COPY', ...keys],
      ['NEW.MANY', 'x', 2, ...keys],
      ['NEW.STORE', keys[0]!, 1, keys[1]!],
    ]) {
      expect(await talk.say(...request)).toMatch(/^-CROSSSLOT /)
    }
    expect(await talk.say('NEW.SET', 'k')).toBe("-ERR wrong number of arguments for 'new.set' command\r\n")
  })

  test('refuses the rest in words of its own, and what no server has in Redis’s', async () => {
    const { talk, servers } = await serve([
      [...KNOWN, ...MODULE],
      [...KNOWN, ...MODULE],
    ])
    for (const name of ['NEW.SEARCH', 'NEW.OPAQUE', 'NEW.WORD']) {
      expect(await talk.say(name, 'x')).toBe(
        `-ERR the proxy cannot determine which server has the keys of '${name.toLowerCase()}': use a pool of one server\r\n`,
      )
    }
    expect(await talk.say('NO.SUCH', 'x')).toBe("-ERR unknown command 'NO.SUCH', with args beginning with: 'x' \r\n")
    // One question to each server; names that none has do not ask each time.
    for (let i = 0; i < 50; i++) await talk.say(`NO.SUCH${i}`)
    expect(servers.requests('COMMAND')).toBe(2)
  })

  test('says so where no server tells of its commands', async () => {
    const { talk } = await serve([null, null])
    expect(await talk.say('NEW.SET', 'k', 'v')).toMatch(/^-ERR the proxy does not know the command 'NEW.SET'/)
  })

  test('does not trust specs in which servers differ', async () => {
    const [name, ...rest] = MODULE[0] as Value[]
    const other = [name!, ...rest.slice(0, 2), 2, 2, 1, ...rest.slice(5)]
    const { talk } = await serve([
      [...KNOWN, MODULE[0]!],
      [...KNOWN, other],
    ])
    expect(await talk.say('NEW.SET', 'k', 'v')).toMatch(/^-ERR the proxy cannot determine/)
  })

  test('asks again when a server’s connections were lost', async () => {
    const { talk, servers } = await serve([
      [...KNOWN, ...MODULE],
      [...KNOWN, ...MODULE],
    ])
    const keys = await keysOf(talk)
    expect(await talk.say('NEW.SET', keys[0]!, 'v')).toBe('+0 NEW.SET\r\n')
    const die = entry('new.die', 2, [], [1, 1, 1], [spec({})])
    servers.commands[0] = [...KNOWN, ...MODULE, die]
    servers.commands[1] = [...KNOWN, ...MODULE, die]
    // Known for now by what was told: not asked again for a while.
    expect(await talk.say('NEW.DIE', keys[0]!)).toMatch(/^-ERR unknown command/)
    for (const { sockets } of [servers.fakes[0]!]) for (const socket of sockets()) socket.destroy()
    await waitUntil(
      async () =>
        (await talk.say('NEW.DIE', keys[0]!)) === '-ERR Connection reset by peer\r\n' ||
        servers.requests('NEW.DIE') > 0,
      'the new command',
    )
  })

  test('takes the word of the servers that answer', async () => {
    const { talk, servers } = await serve([
      [...KNOWN, ...MODULE],
      [...KNOWN, ...MODULE],
    ])
    const keys = await keysOf(talk)
    await servers.fakes[1]!.stop()
    expect(await talk.say('NEW.SET', keys[0]!, 'v')).toBe('+0 NEW.SET\r\n')
  })
})

describe('COMMAND agrees with what is served', () => {
  const names = (text: string): string[] =>
    (decode(Buffer.from(text)) as unknown as string[][]).map(each => (Array.isArray(each) ? each[0]! : each))

  test('by a pool of one server', async () => {
    const { talk } = await serve([[...KNOWN, ...MODULE]])
    const all = [...KNOWN, ...MODULE].map(each => (each as Value[])[0] as string).filter(name => name !== 'debug')
    expect(names(await talk.say('COMMAND'))).toEqual(all)
    expect(names(await talk.say('COMMAND', 'LIST'))).toEqual(all)
    expect(await talk.say('COMMAND', 'COUNT')).toBe(`:${all.length}\r\n`)
  })

  test('by a pool of several', async () => {
    const { talk } = await serve([
      [...KNOWN, ...MODULE],
      [...KNOWN, ...MODULE],
    ])
    const served = ['get', 'new.set', 'new.copy', 'new.many', 'new.store', 'new.wait', 'new.box']
    expect(names(await talk.say('COMMAND'))).toEqual(served)
    expect(names(await talk.say('COMMAND', 'LIST'))).toEqual(served)
    expect(await talk.say('COMMAND', 'COUNT')).toBe(`:${served.length}\r\n`)
    const docs = decode(Buffer.from(await talk.say('COMMAND', 'DOCS'))) as unknown as Value[]
    expect(docs.filter((_, i) => i % 2 === 0)).toEqual(served)
    const info = await talk.say('COMMAND', 'INFO', 'get', 'debug', 'new.search', 'new.set')
    expect(info).toBe(`*4\r\n${wire(KNOWN[0]!)}$-1\r\n$-1\r\n${wire(MODULE[0]!)}`)
  })
})

test('encode and wire agree', () => {
  expect(wire(['GET', 'k'])).toBe(encode('GET', 'k').toString())
})
