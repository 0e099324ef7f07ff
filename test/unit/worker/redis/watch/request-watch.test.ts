/** What a pause and MONITOR cost: the fast path of a pool's clients is closed while one is on, and only then. */

import { afterEach, expect, test } from 'vitest'
import { waitUntil } from '../../../../support/wait.ts'
import { encode } from '../../../../support/wire/resp.ts'
import type { Wire } from '../../../../support/wire/wire.ts'
import { Harness } from '../../../../support/worker/harness.ts'
import { answerWithKey } from '../../../../support/worker/scripted-server.ts'

let harness: Harness

afterEach(() => harness.stop())

async function say(wire: Wire, ...args: string[]): Promise<string> {
  wire.send(encode(...args))
  return `${(await wire.redisReplies(1))[0]}`
}

function fastPaths(): boolean[] {
  return [...harness.context.pools[0]!.members].map(client => client.fastPath)
}

test('MONITOR closes the fast path until the last monitoring client is gone', async () => {
  harness = await Harness.start({ answer: answerWithKey })
  const wires = [await harness.wire(), await harness.wire(), await harness.wire()]
  expect(fastPaths()).toEqual([true, true, true])
  expect(await say(wires[0]!, 'MONITOR')).toBe('+OK\r\n')
  expect(await say(wires[1]!, 'MONITOR')).toBe('+OK\r\n')
  expect(fastPaths()).toEqual([false, false, false])
  await harness.wire()
  expect(fastPaths()).toEqual([false, false, false, false])
  expect(await say(wires[0]!, 'RESET')).toBe('+RESET\r\n')
  expect(fastPaths()).toEqual([false, false, false, false])
  wires[1]!.destroy()
  await waitUntil(() => fastPaths().length === 3, 'the monitoring client to be gone')
  expect(fastPaths()).toEqual([true, true, true])
})

test('a pause closes it until its end', async () => {
  harness = await Harness.start({ answer: answerWithKey })
  const wires = [await harness.wire(), await harness.wire()]
  expect(await say(wires[0]!, 'CLIENT', 'PAUSE', '60000', 'WRITE')).toBe('+OK\r\n')
  expect(fastPaths()).toEqual([false, false])
  expect(await say(wires[1]!, 'GET', 'k')).toContain('k')
  expect(await say(wires[0]!, 'CLIENT', 'UNPAUSE')).toBe('+OK\r\n')
  expect(fastPaths()).toEqual([true, true])
  expect(await say(wires[0]!, 'CLIENT', 'PAUSE', '5')).toBe('+OK\r\n')
  expect(await say(wires[1]!, 'GET', 'k')).toContain('k')
  expect(fastPaths()).toEqual([true, true])
})
