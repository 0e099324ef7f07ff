/**
 * The command table against a real memcached: every form of every command, accepted and refused, sent straight to a server and through a
 * pool of one and of three servers. All three answer the same bytes, but for what `DIFFERENT` names.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Action, COMMANDS } from '../../../src/protocol/memcache/commands.ts'
import { stopAll } from '../../support/processes/child.ts'
import { poolYml, type RunningProxy, serverEntry, startProxy } from '../../support/processes/proxy.ts'
import { startMemcached, type TestServer } from '../../support/processes/servers.ts'
import { Wire } from '../../support/wire/wire.ts'

const K251 = 'k'.repeat(251)
const BINARY = Buffer.from('bin\0\xff').toString('base64')

/** Sent in this order, each on a connection of its own; `~` stands for CR LF. The first word names the command. */
const EXCHANGES: readonly string[] = [
  'set n 0 0 2~10~',
  'set a 7 0 3~abc~',
  'set b 4294967295 100 0~~',
  'set neg 0 -1 1~x~get neg~',
  'set big 18446744073709551615 0 1~x~',
  'set zeros 000000000000000000000000000 000 001~x~get zeros~',
  'set quiet 0 0 1 noreply~x~get quiet~',
  'set word 0 0 1 other~x~get word~',
  'set data 0 0 9~get a~~~~~get data~',
  'add a 0 0 1~x~',
  'add new 0 0 1~x~',
  'replace nope 0 0 1~x~',
  'replace new 0 0 1~y~get new~',
  'append new 0 0 1~z~prepend new 0 0 1~x~get new~',
  'prepend nope 0 0 1~x~',
  'cas nope 0 0 1 5~x~',
  'cas a 0 0 1 99999~x~',
  'cas a 0 0 1 99999 noreply~x~',
  'get a~',
  'get a b~get nope~',
  'get   a    nope   b   ~',
  'get~get ~',
  `get a ${K251} b~`,
  `get ${'k'.repeat(250)}~`,
  'gets nope nope2~gets~',
  'gat 100 a~gat -1 neg nope~gat 0 a b a~',
  'gat x a~gat~gat 99999999999999999999 a~',
  'gats 100 nope~gats~',
  'incr n 5~incr n 5 noreply~incr n 1 word~get n~',
  'incr n~incr n x~incr n -1~incr nope 1~incr a 1~incr n 99999999999999999999999~',
  'decr n 3~decr n 100~decr n 1 noreply~decr n 1 2 3~',
  'touch a 100~touch nope 1~touch a~touch a x~touch a 0 noreply~touch a 1 2 3~',
  'delete quiet~delete quiet~delete word 0~delete data noreply~delete data~',
  'delete~delete a 1~delete a 1 noreply~delete a 0 1 2~',
  'version~version x~',
  'ms m 2~hi~mg m v~mg m~mg m t f s v~',
  'ms m 2 q~ho~mg m v q k O77~mg nope v q k O77~mg nope v k O77~mg nope~',
  'ms m 2 ME~hi~ms m 2 ME q~hi~ms nope 2 MR~hi~ms nope 2 MR q~hi~ms m 2 MA~hi~ms m 2 MP q~<-~mg m v~',
  'ms m 2 MX~hi~ms m 2 z~hi~ms m 2 C1~hi~ms m 2 C1 q~hi~ms m 2 Fx~hi~ms m 2 q q~hi~',
  `mg ${K251}~mg m O${'o'.repeat(40)} v~`,
  'mg~mg m q q~mg m noreply~mg m z~',
  'md m~md m~ms m 1~x~md m q~md m q~md nope q~md nope q k O5~md m C1 q~md~',
  'ma c N0 J5 v~ma c~ma c v~ma c q~ma c MD D2 v~ma nope~ma nope q~ma a~ma c MX~ma~',
  `ms ${BINARY} 2 b~hi~mg ${BINARY} b v k~me ${BINARY} x~me nope~mg ${BINARY}x b v~`,
  'me~',
  'mn~mn x~',
  'verbosity 0~verbosity 0 noreply~verbosity x~verbosity~verbosity 1 2 3~',
  'stats reset~stats sizes~stats nonsense~stats detail on~stats detail off~stats detail~',
  'GET a~foo~~get1 a~',
  'gat 10~gats 10~gat~gats~gat x~gat x a~',
  'cache_memlimit 512~cache_memlimit 512 noreply~cache_memlimit 1~cache_memlimit x~cache_memlimit~cache_memlimit 1 2 3~',
  'get a\nget b\n',
  'flush_all 0~flush_all noreply~flush_all 0 noreply~flush_all x~flush_all 1 2 3~get a b~',
  'flush_all -1~flush_all~',
]

/** Refused where memcached would go wrong or stay quiet about it, or where one answer stands for many. Exchange, and the proxy's answer. */
const DIFFERENT: Readonly<Record<string, string>> = {
  // memcached takes the data of a refused storage command for commands; behind a shared connection that must not be.
  'set refused 0 0 x~y~': 'CLIENT_ERROR bad command line format~',
  [`set ${K251} 0 0 9~flush_all~`]: 'CLIENT_ERROR bad command line format~MN~',
  [`ms ${K251} 9~flush_all~`]: 'CLIENT_ERROR bad command line format~MN~',
  'set k 0 x 9~flush_all~': 'CLIENT_ERROR bad command line format~MN~',
  'set k 0 0~y~': 'ERROR~',
  'cas k 0 0 9~flush_all~': 'ERROR~MN~',
  'set refused -1 0 1 noreply~x~': 'MN~',
  [`ms m 1 ${'O '.repeat(20)}~x~`]: 'CLIENT_ERROR options flags too long~MN~',
  'ms k~y~': 'CLIENT_ERROR bad command line format~',
  // memcached reads a line up to a NUL only.
  'get a\0b~': 'CLIENT_ERROR bad command line format~MN~',
  'md k b~': 'CLIENT_ERROR error decoding key~MN~',
  'shutdown~': `${notServed('shutdown', 'it would stop a server')}MN~`,
  'watch~': `${notServed('watch', 'it needs a server connection of its own')}MN~`,
  'slabs automove 0~lru mode flat~lru_crawler metadump all~refresh_certs~extstore x y~': `${[
    'slabs',
    'lru',
    'lru_crawler',
    'refresh_certs',
    'extstore',
  ]
    .map(name => notServed(name, 'it applies to a single server'))
    .join('')}MN~`,
}

function notServed(name: string, why: string): string {
  return `SERVER_ERROR ${name} is not supported by this proxy: ${why}~`
}

function bytes(text: string): Buffer {
  return Buffer.from(text.replaceAll('~', '\r\n'), 'latin1')
}

/** What comes back up to the answer to a last `mn`, or the close; without numbers that each server counts for itself. */
async function exchange(port: number, text: string): Promise<string> {
  const wire = await Wire.open({ port })
  try {
    wire.send(bytes(`${text}mn~`))
    const ends = text.match(/\bmn\b/g)?.length ?? 0
    const done = (reply: string): boolean => wire.closed || reply.split('MN\r\n').length > ends + 1
    const reply = await wire.until(done, `the end of ${JSON.stringify(text)}`)
    return reply
      .toString('latin1')
      .replaceAll('\r\n', '~')
      .replace(/(la|cas)=\d+/g, '$1=N')
  } finally {
    wire.destroy()
  }
}

/** The pool has the words of 1.6.18 for what it refuses itself; newer versions say `CLIENT_ERROR` for some `ERROR`s, and end one line twice. */
function comparable(reply: string): string {
  if (process.env.MEMCACHED_COMMAND === undefined) return reply
  return reply.replace(/(?<=^|~)(?:ERROR|CLIENT_ERROR [^~]*)~+/g, 'refused~')
}

/** Newer versions pass over a word too many, and refuse a `gat` without keys; the pool does as 1.6.18. */
function withoutExtraWords(text: string): string {
  if (process.env.MEMCACHED_COMMAND === undefined) return text
  return text.replace(/(?<=~|^)(?:gats? 10|\w+ (?:\w+ )?(?:1 2 3|0 1 2)|ma c MX)~/g, '')
}

let direct: TestServer
const pools: { name: string; proxy: RunningProxy }[] = []

beforeAll(async () => {
  direct = await startMemcached()
  for (const count of [1, 3]) {
    const servers = await Promise.all(Array.from({ length: count }, () => startMemcached()))
    const entries = servers.map((server, index) => serverEntry(server, `s${index}`))
    const proxy = await startProxy({ kind: 'pistachio', yml: poolYml({ keys: { timeout: 5000 }, servers: entries }) })
    pools.push({ name: `pool of ${count}`, proxy })
  }
})

afterAll(stopAll)

describe('a pool answers as memcached does', () => {
  // In order: later exchanges read what earlier ones wrote.
  test.each(EXCHANGES.map(withoutExtraWords))('%s', async text => {
    const expected = await exchange(direct.port, text)
    for (const { name, proxy } of pools) {
      expect(comparable(await exchange(proxy.ports[0]!, text)), name).toBe(comparable(expected))
    }
  })
})

describe('a pool differs from memcached on purpose', () => {
  test.each(Object.entries(DIFFERENT))('%s', async (text, answer) => {
    for (const { name, proxy } of pools) expect(await exchange(proxy.ports[0]!, text), name).toBe(answer)
  })
})

test('every command of the table is exchanged', () => {
  const said = new Set([...EXCHANGES, ...Object.keys(DIFFERENT)].flatMap(text => text.split(/[~ \n]/)))
  expect(COMMANDS.filter(command => !said.has(command.name) && command.action !== Action.quit)).toEqual([])
})
