/** What the text of a script says of its keys and channels. */

import { describe, expect, test } from 'vitest'
import { Origin, readScript } from '../../../../src/protocol/redis/script-text.ts'

const DECLARED: readonly string[] = [
  'return 1',
  "return redis.call('GET', KEYS[1])",
  'return redis.call("set", KEYS[1], ARGV[1], "EX", ARGV[2])',
  "return redis.pcall('GET', (KEYS[1]))",
  "return server.call('GET', KEYS[1])",
  "return redis['call']('GET', KEYS[1])",
  "local key = KEYS[1]\nlocal value = redis.call('GET', key)\nreturn value",
  "local a, b = KEYS[1], KEYS[2] redis.call('RENAME', a, b)",
  "local a, b = unpack(KEYS) redis.call('RENAME', a, b)",
  "for i = 1, #KEYS do redis.call('DEL', KEYS[i]) end",
  "for _, key in ipairs(KEYS) do redis.call('DEL', key) end",
  "return redis.call('DEL', unpack(KEYS))",
  "return redis.call('MSET', KEYS[1], 'a', KEYS[2], 'b')",
  "local keys = {KEYS[2], KEYS[1]}\nreturn redis.call('MGET', unpack(keys))",
  "local keys = {}\nfor i, key in ipairs(KEYS) do keys[#keys + 1] = key end\nreturn redis.call('MGET', table.unpack(keys))",
  "local keys = {}\nfor i, key in ipairs(KEYS) do table.insert(keys, key) end\nreturn redis.call('MGET', unpack(keys))",
  "local call = redis.call\nreturn call('GET', KEYS[1])",
  "local ok = pcall(redis.call, 'GET', KEYS[1])",
  "local function put(key, value)\n  return redis.call('SET', key, value)\nend\nreturn put(KEYS[1], ARGV[1])",
  "local put = function(key, value) return redis.call('SET', key, value) end return put(KEYS[1], ARGV[1])",
  "return redis.call('ZUNIONSTORE', KEYS[1], 2, KEYS[2], KEYS[3], 'WEIGHTS', 1, 2)",
  "return redis.call('XREAD', 'COUNT', 1, 'STREAMS', KEYS[1], ARGV[1])",
  'return redis.call(ARGV[1], KEYS[1])',
  "-- redis.call('DEL', ARGV[1])\nreturn redis.call('GET', KEYS[1])",
  "--[[ redis.call('DEL', ARGV[1]) ]] return redis.call('TIME')",
  'return \'redis.call("DEL", ARGV[1])\'',
  "return redis.call('PUBLISH', KEYS[1], ARGV[1])",
  'return redis.call(',
  'end end )) ]] "',
]

const DERIVED: readonly string[] = [
  "return redis.call('GET', KEYS[1] .. ':lock')",
  "return redis.call('GET', 'lock:' .. KEYS[1])",
  "local prefix = KEYS[1] .. ':'\nreturn redis.call('HSET', prefix .. ARGV[1], 'f', 'v')",
  "local function lock(name) return redis.call('SET', name .. ':lock', 1) end lock(KEYS[1])",
]

const FOREIGN: readonly string[] = [
  "return redis.call('DEL', ARGV[1])",
  "return redis.call('get', 'config')",
  'return redis.call("GET", [[config]])',
  "return redis.call('RENAME', KEYS[1], ARGV[1])",
  "return redis.call('GET', ARGV[1] .. KEYS[1])",
  "return redis.call('MSET', KEYS[1], 'a', ARGV[1], 'b')",
  "return redis.call('DEL', unpack(ARGV))",
  "local key = KEYS[1]\nif ARGV[1] then key = ARGV[1] end\nreturn redis.call('GET', key)",
  "local function put(key) return redis.call('SET', key, 1) end put(KEYS[1]) put(ARGV[1])",
  "for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do redis.call('DEL', key) end",
  "local found = redis.call('SMEMBERS', KEYS[1])\nfor _, key in ipairs(found) do pcall(redis.call, 'DEL', ARGV[1]..key) end",
  "local keys = {} for _, key in ipairs(ARGV) do keys[#keys + 1] = key end return redis.call('DEL', unpack(keys))",
  "return redis.call('KEYS', '*')",
  "return redis.call('SCAN', 0)",
  "return redis.call('ZUNIONSTORE', KEYS[1], 2, KEYS[2], ARGV[1])",
  "return redis.call('GET', global)",
]

describe('keys', () => {
  test.each(DECLARED)('declared: %s', text => {
    expect(readScript(text)).toMatchObject({ keys: Origin.declared, channels: Origin.declared })
  })

  test.each(DERIVED)('derived: %s', text => {
    expect(readScript(text).keys).toBe(Origin.derived)
  })

  test.each(FOREIGN)('foreign: %s', text => {
    expect(readScript(text).keys).toBe(Origin.foreign)
  })
})

test.each([
  ["return redis.call('PUBLISH', ARGV[1], 'x')", Origin.foreign],
  ["return redis.call('PUBLISH', 'news', KEYS[1])", Origin.foreign],
  ["return redis.call('SPUBLISH', KEYS[1] .. ':events', 'x')", Origin.derived],
  ["return redis.call('PUBLISH', KEYS[1], 'x')", Origin.declared],
])('channels: %s', (text, origin) => {
  expect(readScript(text)).toMatchObject({ channels: origin, keys: Origin.declared })
})

test.each([
  'return 1',
  'return {KEYS[1], ARGV[1]}',
  "redis.log(redis.LOG_WARNING, 'x') return redis.sha1hex('a')",
  "return redis.error_reply('redis.call')",
  '-- redis.call\nreturn cjson.encode({1})',
  'local t = {call = 1} return t.call',
  "#!lua name=lib\nredis.register_function('f', function() return 1 end)",
])('calls nothing: %s', text => {
  expect(readScript(text).callsServer).toBe(false)
})

test.each([
  "return redis.call('PING')",
  "return redis.pcall('PING')",
  "return redis['call']('PING')",
  "local r = redis return r.call('PING')",
  "return _G['re' .. 'dis']",
  "return loadstring('return 1')()",
  'return getfenv().x',
  'return redis . call ( "PING" )',
  "return server.call('PING')",
])('may call: %s', text => {
  expect(readScript(text).callsServer).toBe(true)
})

test('the functions of a library', () => {
  const text = `#!lua name=lib
    local function one() return 1 end
    redis.register_function('one', one)
    redis.register_function{function_name = 'two', callback = one, flags = {'no-writes'}}`
  expect(readScript(text)).toMatchObject({ functions: ['one', 'two'], callsServer: false })
})

test.each(['redis.call(', 'a=b ', 'for a in ', 'f(g[{', 'x=x..x..', '--[[', 'redis.call("GET",', '"'])(
  'takes time in proportion to the text, whatever it is: %s',
  piece => {
    const began = performance.now()
    readScript(piece.repeat(Math.trunc(32_768 / piece.length)))
    // Measured: 130 ms at most; a look that went over the text once a token would take minutes.
    expect(performance.now() - began).toBeLessThan(5_000)
  },
)
