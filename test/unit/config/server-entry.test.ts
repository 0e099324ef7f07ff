import { describe, expect, it } from 'vitest'
import { parseServer } from '../../../src/config/server-entry.ts'

describe('the name of a server', () => {
  it.each([
    ['127.0.0.1:6379:1', '127.0.0.1:6379', '127.0.0.1:6379:1'],
    ['127.0.0.1:06379:1', '127.0.0.1:06379', '127.0.0.1:06379:1'],
    ['127.0.0.1:11211:1', '127.0.0.1', '127.0.0.1:11211:1'],
    ['127.0.0.1:011211:1', '127.0.0.1', '127.0.0.1:011211:1'],
    ['127.0.0.1:11211:1 one', 'one', '127.0.0.1:11211:1'],
    ['127.0.0.1:6379:1 a:b', 'a:b', '127.0.0.1:6379:1'],
    ['127.0.0.1:6379:1 ', '', '127.0.0.1:6379:1 '],
    ['/tmp/r.sock:1', '/tmp/r.sock:', '/tmp/r.sock:1'],
    ['/tmp/r.sock:1 one', 'one', '/tmp/r.sock:1'],
    [':6379:1', ':6379', ':6379:1'],
    ['::1:6379:1', '::1:6379', '::1:6379:1'],
  ])('of %j is %j, and logs call it %j', (text, name, pname) => {
    expect(parseServer(text)).toMatchObject({ name, pname })
  })
})

it.each([
  ['127.0.0.1:6379:3', { host: '127.0.0.1', port: 6379, path: '', weight: 3 }],
  ['::1:6379:1', { host: '::1', port: 6379, path: '', weight: 1 }],
  ['[::1]:6379:1', { host: '[::1]', port: 6379, path: '', weight: 1 }],
  ['h:1:4294967297', { host: 'h', port: 1, path: '', weight: 1 }],
  ['/tmp/r.sock:100000', { host: '', port: 0, path: '/tmp/r.sock', weight: 100000 }],
])('%s is taken apart from its right end', (text, parts) => {
  expect(parseServer(text)).toMatchObject(parts)
})

const FORMAT = 'has an invalid "hostname:port:weight [name]"or "/path/unix_socket:weight [name]" format string'
const WEIGHT = 'has an invalid weight in "hostname:port:weight [name]" format string'
const PORT = 'has an invalid port in "hostname:port:weight [name]" format string'

it.each([
  ['localhost', FORMAT],
  ['localhost:6379', FORMAT],
  [':1', FORMAT],
  [':', FORMAT],
  [' ', FORMAT],
  [' 127.0.0.1:6379:1', FORMAT],
  ['/tmp/r.sock', FORMAT],
  ['/tmp/r.sock:6379:1', FORMAT],
  ['h:6379:', WEIGHT],
  ['h:6379:-1', WEIGHT],
  ['h:6379:1  one', WEIGHT],
  ['h:6379:1 one two', WEIGHT],
  ['h:6379:1\tone', WEIGHT],
  ['h:bad:bad', WEIGHT],
  ['h:6379:0', 'has a zero weight in "hostname:port:weight [name]" format string'],
  ['h:6379:4294967296', 'has a zero weight in "hostname:port:weight [name]" format string'],
  ['h:0:1', PORT],
  ['h:65536:1', PORT],
  ['h::1', PORT],
])('%j %s', (text, problem) => {
  expect(() => parseServer(text)).toThrow(expect.objectContaining({ name: 'BadValue', message: problem }))
})
