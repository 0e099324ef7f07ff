/** The phases of a client: the table, and the way of a client through it. */

import { afterEach, describe, expect, test } from 'vitest'
import { retireClient } from '../../../../src/worker/client/client-ending.ts'
import { mayFollow, Phase } from '../../../../src/worker/client/client-phase.ts'
import { waitUntil } from '../../../support/wait.ts'
import { encode } from '../../../support/wire/resp.ts'
import { Harness, type HarnessOptions } from '../../../support/worker/harness.ts'
import { silent } from '../../../support/worker/scripted-server.ts'

const PHASES = Object.entries(Phase)

/** @returns the phases that may follow each phase, by name. */
function followers(): Record<string, string[]> {
  return Object.fromEntries(
    PHASES.map(([name, from]) => [name, PHASES.filter(([, next]) => mayFollow(from, next)).map(([next]) => next)]),
  )
}

test('the table of the phases', () => {
  expect(followers()).toEqual({
    greeting: ['reading', 'ending', 'closed'],
    reading: ['blocked', 'ending', 'closed'],
    blocked: ['reading', 'ending', 'closed'],
    ending: ['lingering', 'closed'],
    lingering: ['closed'],
    closed: [],
  })
})

describe('a client', () => {
  let harness: Harness

  async function start(options?: HarnessOptions): Promise<void> {
    harness = await Harness.start(options)
  }

  afterEach(() => harness.stop())

  test('reads, is blocked while it has enough in flight, and reads again', async () => {
    await start({ answer: silent, pool: { clientMaxPending: 4 } })
    const wire = await harness.wire()
    const { client } = harness
    expect(client.phase).toBe(Phase.reading)
    wire.send(Buffer.concat([1, 2, 3, 4, 5].map(i => encode('GET', i))))
    await waitUntil(() => client.phase === Phase.blocked, 'the client to be blocked')
    await harness.server.received(4)
    harness.server.peer.send(':1\r\n'.repeat(4))
    await waitUntil(() => client.phase === Phase.reading, 'the client to be read again')
    await harness.server.received(5)
  })

  test('ends, lingers and is closed; it does not read again', async () => {
    await start({ answer: silent })
    const wire = await harness.wire()
    const { client } = harness
    wire.send(encode('GET', 'a'))
    await harness.server.received(1)
    retireClient(client)
    expect(client.phase).toBe(Phase.ending)
    expect(() => client.enter(Phase.reading)).toThrow('phases')
    harness.server.peer.send(':1\r\n')
    await wire.untilClosed()
    await waitUntil(() => client.phase === Phase.closed, 'the client to close after FIN')
    expect(client.lingerUntilMs).toBeGreaterThan(0)
    expect(() => client.enter(Phase.ending)).toThrow('phases')
  })

  test('of a pool with proxy_protocol greets first', async () => {
    await start({ pool: { proxyProtocol: true } })
    const wire = await harness.wire()
    const { client } = harness
    expect(client.phase).toBe(Phase.greeting)
    wire.send(Buffer.from('PROXY TCP4 10.0.0.7 10.0.0.1 51234 6379\r\n'))
    await waitUntil(() => client.phase === Phase.reading, 'the end of the header')
    expect(client.address).toBe('10.0.0.7:51234')
  })
})
