/** Scripts over several servers: undeclared keys, channels, scripts without keys. */

import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { stopAll } from '../../support/processes/child.ts'
import { waitUntil } from '../../support/wait.ts'
import {
  array,
  closeTalks,
  keysByServer,
  type RedisPool,
  startRedisPool,
  type Talk,
} from '../../support/wire/redis-pool.ts'

let pool: RedisPool
let talk: Talk

beforeAll(async () => {
  pool = await startRedisPool()
})

beforeEach(async () => {
  talk = await pool.talk()
})

afterEach(closeTalks)
afterAll(stopAll)

const shaOf = (text: string): string => createHash('sha1').update(text).digest('hex')

/** Lines of the log that name a script. */
function linesOf(text: string, of = pool): string[] {
  return of.proxy
    .log()
    .split('\n')
    .filter(line => line.includes(shaOf(text)))
}

async function counter(name: string, of = talk): Promise<number> {
  return Number(new RegExp(`${name}:(\\d+)`).exec(await of.say('INFO', 'proxy'))?.[1])
}

describe('undeclared keys', () => {
  test('are warned of once a script, over all workers, and counted', async () => {
    const text = "return redis.call('DEL', ARGV[1])"
    const before = await counter('proxy_undeclared_keys')
    // Connections in turn go to both workers.
    const talks = await Promise.all([pool.talk(), pool.talk(), pool.talk(), pool.talk()])
    for (const each of talks) expect(await each.say('EVAL', text, 1, '1:tag', 'zz3')).toBe(':0\r\n')
    await waitUntil(() => linesOf(text).length > 0, 'the warning')
    expect(await counter('proxy_undeclared_keys')).toBe(before + 4)
    expect(linesOf(text)).toHaveLength(1)
    expect(linesOf(text)[0]).toContain('uses keys that it does not declare')
  })

  test('are seen by SCRIPT LOAD, and not by SCRIPT LOAD of what declares all', async () => {
    const bad = "return redis.call('GET', 'some key')"
    const good = "return redis.call('GET', KEYS[1])"
    await talk.say('SCRIPT', 'LOAD', good)
    await talk.say('SCRIPT', 'LOAD', bad)
    await waitUntil(() => linesOf(bad).length > 0, 'the warning')
    expect(linesOf(good)).toEqual([])
  })

  test('built from a declared key are right where its hash tag keeps them together', async () => {
    const text = "return redis.call('SET', KEYS[1] .. ':copy', '1')"
    const loaded = "return redis.call('SET', KEYS[1] .. ':other', '1')"
    await talk.say('SCRIPT', 'LOAD', loaded)
    expect(await talk.say('EVAL', text, 1, '{tag}:k')).toBe('+OK\r\n')
    expect(await talk.say('EVALSHA', shaOf(loaded), 1, '{tag}:k')).toBe('+OK\r\n')
    expect(await talk.say('GET', '{tag}:k:copy')).toBe('$1\r\n1\r\n')
    expect([...linesOf(text), ...linesOf(loaded)]).toEqual([])
    await talk.say('EVAL', text, 1, 'k')
    await talk.say('EVALSHA', shaOf(loaded), 1, 'k')
    await waitUntil(() => linesOf(text).length + linesOf(loaded).length === 2, 'both warnings')
  })

  test('are refused where the pool says so, allowed where it says so', async () => {
    const text = "return redis.call('DEL', ARGV[1])"
    for (const undeclared_keys of ['refuse', 'allow']) {
      const other = await startRedisPool({ undeclared_keys })
      const one = await other.talk()
      const refused = undeclared_keys === 'refuse'
      const answer = /^-ERR the script uses keys that it does not declare/
      expect(answer.test(await one.say('EVAL', text, 1, 'a', 'b'))).toBe(refused)
      expect(answer.test(await one.say('SCRIPT', 'LOAD', text))).toBe(refused)
      expect(await one.say('EVAL', "return redis.call('GET', KEYS[1])", 1, 'a')).toBe('$-1\r\n')
      await one.say('MULTI')
      expect(answer.test(await one.say('EVAL', text, 1, 'a', 'b'))).toBe(refused)
      expect(await one.say('EXEC')).toBe(
        refused ? '-EXECABORT Transaction discarded because of previous errors.\r\n' : '*1\r\n:0\r\n',
      )
      expect(await counter('proxy_undeclared_keys', one)).toBe(refused ? 3 : 0)
      expect(linesOf(text, other)).toHaveLength(refused ? 1 : 0)
    }
  })
})

test('a script that publishes to a channel of another server is logged once and counted', async () => {
  const text = "return redis.call('PUBLISH', ARGV[1], 'x')"
  const before = await counter('proxy_script_publishes')
  await talk.say('EVAL', text, 1, 'k', 'channel')
  await talk.say('EVAL', text, 1, 'k', 'channel')
  await talk.say('EVAL', "return redis.call('PUBLISH', KEYS[1], 'x')", 1, 'channel')
  await waitUntil(() => linesOf(text).length > 0, 'the warning')
  expect(linesOf(text)).toHaveLength(1)
  expect(await counter('proxy_script_publishes')).toBe(before + 2)
})

describe('without keys', () => {
  test('an unknown digest is -NOSCRIPT, so that clients fall back to EVAL', async () => {
    for (const command of ['EVALSHA', 'EVALSHA_RO']) {
      const reply = await talk.say(command, shaOf('never seen'), 0)
      expect(reply).toBe('-NOSCRIPT No matching script. Please use EVAL.\r\n')
    }
    expect(await talk.say('EVALSHA', 'no digest', 0)).toMatch(/^-NOSCRIPT /)
  })

  test('a script that calls nothing runs, then by its digest too, on every worker, and SCRIPT EXISTS knows it', async () => {
    const text = 'return {1, ARGV[1]} -- seen'
    expect(await talk.say('EVALSHA', shaOf(text), 0, 'a')).toMatch(/^-NOSCRIPT /)
    expect(await talk.say('EVAL', text, 0, 'a')).toBe(array(1, 'a'))
    for (let i = 0; i < 4; i++) {
      const other = await pool.talk()
      expect(await other.say('EVALSHA', shaOf(text).toUpperCase(), 0, 'b')).toBe(array(1, 'b'))
      expect(await other.say('SCRIPT', 'EXISTS', shaOf(text), shaOf('no such'))).toBe('*2\r\n:1\r\n:0\r\n')
    }
    await talk.say('SCRIPT', 'FLUSH')
    expect(await talk.say('SCRIPT', 'EXISTS', shaOf(text))).toBe('*1\r\n:0\r\n')
    expect(await talk.say('EVALSHA', shaOf(text), 0, 'b')).toMatch(/^-NOSCRIPT /)
  })

  test('so does one that was loaded', async () => {
    await talk.say('SCRIPT', 'LOAD', "return 'loaded'")
    expect(await talk.say('EVALSHA', shaOf("return 'loaded'"), 0)).toBe('$6\r\nloaded\r\n')
  })

  test('a script that calls something is refused in words of our own, by its digest as unknown', async () => {
    const text = "return redis.call('DBSIZE')"
    expect(await talk.say('EVAL', text, 0)).toMatch(/^-ERR a script without keys/)
    await talk.say('SCRIPT', 'LOAD', text)
    expect(await talk.say('EVALSHA', shaOf(text), 0)).toMatch(/^-NOSCRIPT /)
  })

  test('functions of a library that calls nothing run, until another takes their name', async () => {
    const library = (body: string): string =>
      `#!lua name=mylib\nredis.register_function('MyFunction', function(keys, args) ${body} end)`
    expect(await talk.say('FCALL', 'myfunction', 0)).toMatch(/^-ERR a script without keys/)
    await talk.say('FUNCTION', 'LOAD', library('return args[1]'))
    const other = await pool.talk()
    expect(await other.say('FCALL', 'myfunction', 0, 'x')).toBe('$1\r\nx\r\n')
    await talk.say('FUNCTION', 'LOAD', 'REPLACE', library("return redis.call('DBSIZE')"))
    expect(await other.say('FCALL', 'myfunction', 0, 'x')).toMatch(/^-ERR a script without keys/)
    await talk.say('FUNCTION', 'FLUSH')
  })

  test('scripts with keys are as they were', async () => {
    const [[first], [second]] = await keysByServer(pool, 'k', 1)
    const text = "return redis.call('SET', KEYS[1], ARGV[1])"
    expect(await talk.say('EVAL', text, 1, first!, 'x')).toBe('+OK\r\n')
    expect(await talk.say('EVALSHA', shaOf(text), 1, first!, 'x')).toBe('+OK\r\n')
    expect(await talk.say('EVALSHA', shaOf(text), 1, second!, 'x')).toMatch(/^-NOSCRIPT /)
    expect(await talk.say('SCRIPT', 'EXISTS', shaOf(text))).toBe('*1\r\n:0\r\n')
    expect(await talk.say('EVAL', text, 2, first!, second!, 'x')).toMatch(/^-CROSSSLOT /)
  })
})
