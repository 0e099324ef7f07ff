/** Servers that answer well-formed bytes which are no answer to the request: the request fails, and nothing and nobody else. */

import { afterEach, expect, test } from 'vitest'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Harness } from '../../support/worker/harness.ts'
import { bulk } from '../../support/worker/scripted-server.ts'

let harness: Harness

afterEach(() => harness.stop())

/** What no command of `REQUESTS` is answered with. Lengths below -1 and cursors that are no numbers among them. */
const ODD_REPLIES = [
  '+odd\r\n',
  '*1\r\n*1\r\n+odd\r\n',
  '*2\r\n$1\r\nx\r\n*0\r\n',
  '*2\r\n$1\r\n0\r\n:1\r\n',
  '*2\r\n$1\r\n0\r\n*1\r\n:9\r\n',
  '*3\r\n$1\r\na\r\n:1\r\n$-99\r\n',
  '*-1\r\n',
]

/** To PFCOUNT a status is a value, though no good one, and null an empty one. */
const FAILED = expect.stringMatching(/^(-ERR Invalid argument|-WRONGTYPE .*|:0)\r\n$/)

/** Requests that go to all servers, or to those of several keys. */
const REQUESTS = [
  ['CONFIG', 'GET', '*'],
  ['SLOWLOG', 'GET'],
  ['LATENCY', 'LATEST'],
  ['LATENCY', 'HISTORY', 'command'],
  ['SCAN', '0'],
  ['KEYS', '*'],
  ['LASTSAVE'],
  ['SCRIPT', 'EXISTS', 'a', 'b'],
  ['PUBSUB', 'CHANNELS'],
  ['PUBSUB', 'NUMSUB', 'a', 'b', 'c'],
  ['PUBSUB', 'NUMPAT'],
]

test.each(REQUESTS)('%s %s', async (...request) => {
  let odd = ''
  harness = await Harness.start({ servers: 2, answer: ([name]) => (name === 'GET' ? bulk('good') : odd) })
  const wire = await harness.wire()
  for (odd of ODD_REPLIES) {
    // One of them may be an answer to this request; then there is one.
    wire.send(Buffer.concat([encode(...request.filter(word => word !== undefined)), encode('GET', 'key')]))
    const [reply, good] = await wire.redisReplies(2)
    expect([odd, String(reply)]).toEqual([odd, expect.stringMatching(/^(-ERR Invalid argument\r\n$|[*]|:\d)/)])
    expect(String(good)).toBe(bulk('good'))
  }
})

test.each([['SINTER'], ['SUNION'], ['SDIFF'], ['PFCOUNT'], ['ZUNION', '2'], ['ZDIFF', '2']])(
  '%s, gathered',
  async (...command) => {
    let odd = ''
    const answer = ([name]: readonly string[]): string => (name === 'PING' ? '+PONG\r\n' : odd)
    harness = await Harness.start({ servers: 2, answer, pool: { crossServer: 'gather' } })
    const wire = await harness.wire()
    for (odd of ODD_REPLIES) {
      wire.send(encode(...command, harness.keyFor(0), harness.keyFor(1)))
      expect([odd, String((await wire.redisReplies(1))[0])]).toEqual([odd, FAILED])
    }
  },
)

test('the reply to SELECT on a subscriber’s connection is no message, whatever lay in the read buffer before', async () => {
  harness = await Harness.start({ answer: ([name]) => (name === 'PUBLISH' ? ':0\r\n' : null), pool: { redisDb: 3 } })
  const publisher = await harness.wire()
  const subscriber = await harness.wire()
  publisher.send(encode('PUBLISH', 'a', 'hello'))
  await harness.server.received(2)
  harness.server.peer.send('+OK\r\n')
  subscriber.send(encode('SUBSCRIBE', 'a'))
  await harness.server.received(4)
  const own = harness.server.peer
  // `*3\r\n$7\r\nPUBLISH` is in the buffer when `+OK\r\n` comes: its length where that of `message` would be.
  publisher.send(encode('PUBLISH', 'b', 'hello'))
  await harness.server.received(5)
  own.send('+OK\r\n')
  const isRead = (): boolean =>
    harness
      .serverOf(0)
      .allConnections()
      .every(({ socket }) => socket.bytesRead > 0)
  await waitUntil(isRead, 'the reply to SELECT to be read')
  const confirmation = `*3\r\n$9\r\nsubscribe\r\n${bulk('a')}:1\r\n`
  own.send(confirmation)
  expect(String((await subscriber.redisReplies(1))[0])).toBe(confirmation)
})

test.each([['COUNT'], ['LIST'], ['DOCS'], ['INFO']])(
  'the error to COMMAND %s stays as it came while the client awaits an earlier reply',
  async subcommand => {
    const error = '-ERR no such command here\r\n'
    harness = await Harness.start({
      servers: 2,
      answer: ([name, key]) => (name === 'COMMAND' ? error : key === awaited ? null : bulk('good')),
    })
    const awaited = harness.keyFor(1)
    const [server, earlier] = harness.servers
    const wire = await harness.wire()
    wire.send(Buffer.concat([encode('GET', awaited), encode('COMMAND', subcommand)]))
    // The servers are first asked what commands they have.
    const asked = (): number => server!.requests.filter(([name]) => name === 'COMMAND').length
    await waitUntil(() => asked() === 2, 'COMMAND at the server')
    const other = await harness.wire()
    other.send(encode('GET', harness.keyFor(0)))
    await other.redisReplies(1)
    earlier!.peers.find(peer => peer.requests.some(([name]) => name === 'GET'))!.send(bulk('good'))
    expect((await wire.redisReplies(2)).map(String)).toEqual([bulk('good'), error])
  },
)

test.each([['COUNT'], ['LIST'], ['DOCS'], ['INFO']])(
  'COMMAND %s: a reply that is no list is none',
  async subcommand => {
    let odd = ''
    harness = await Harness.start({ servers: 2, answer: ([name]) => (name === 'GET' ? bulk('good') : odd) })
    const wire = await harness.wire()
    for (odd of ['$3\r\nodd\r\n', '+odd\r\n', ':1\r\n', '$-1\r\n']) {
      wire.send(Buffer.concat([encode('COMMAND', subcommand), encode('GET', 'key')]))
      expect((await wire.redisReplies(2)).map(String)).toEqual(['-ERR Invalid argument\r\n', bulk('good')])
    }
  },
)
