import type { EventLoopUtilization } from 'node:perf_hooks'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AgentCheck, type AgentState } from '../../../../src/main/ports/agent-check.ts'
import { openListener } from '../../../../src/net/listener.ts'
import { freePort } from '../../../support/processes/ports.ts'
import { recordingLog } from '../../../support/recording-log.ts'
import { Wire } from '../../../support/wire/wire.ts'

let agents: AgentCheck[] = []
let port: number
let nowMs: number

beforeEach(async () => {
  port = await freePort()
  nowMs = 0
})
afterEach(() => {
  for (const agent of agents) agent.close()
  agents = []
})

function loop(active: number, idle: number): EventLoopUtilization {
  return { active, idle, utilization: active / (active + idle) }
}

const AT_REST: AgentState = { eventLoops: [loop(0, 1_000)], clients: 0, maxClients: Infinity }

async function open(state: () => AgentState = () => AT_REST, shared = true, weighted = true): Promise<AgentCheck> {
  const options = { address: '127.0.0.1', port, weighted, shared, state, log: recordingLog().log, nowMs: () => nowMs }
  const agent = await AgentCheck.open(options)
  agents.push(agent)
  return agent
}

async function ask(request = ''): Promise<string> {
  const wire = await Wire.open({ port })
  if (request !== '') wire.send(Buffer.from(request))
  return (await wire.untilClosed()).toString()
}

test('whoever connects gets one line and the end, whatever is sent', async () => {
  await open()
  expect(await ask()).toBe('up ready 100%\n')
  expect(await ask('agent-send\n')).toBe('up ready 100%\n')
})

test('when no worker runs it is down', async () => {
  let eventLoops: AgentState['eventLoops'] = [null, loop(500, 500)]
  await open(() => ({ ...AT_REST, eventLoops }))
  expect(await ask()).toBe('up ready 100%\n')
  eventLoops = [null, null]
  expect(await ask()).toBe('down\n')
})

test('no weight is said unless it is asked for: 95 % of weight 1 would be none', async () => {
  await open(() => ({ ...AT_REST, eventLoops: [loop(nowMs, 0)] }), true, false)
  nowMs += 1_000
  expect(await ask()).toBe('up ready\n')
})

describe('the weight', () => {
  /** Opens with the first sample; each later one is a second on. @returns the answers to those. */
  async function answersTo(...samples: AgentState['eventLoops'][]): Promise<string[]> {
    await open(() => ({ ...AT_REST, eventLoops: samples[nowMs / 1_000]! }))
    const answers: string[] = []
    while (nowMs < (samples.length - 1) * 1_000) {
      nowMs += 1_000
      answers.push((await ask()).trim())
    }
    return answers
  }

  test('follows what the workers did since the last sample, not since their start', async () => {
    const first = [loop(0, 10_000), loop(10_000, 0)]
    const second = [loop(250, 10_750), loop(10_250, 750)]
    const third = [loop(1_000, 11_000), loop(11_000, 1_000)]
    expect(await answersTo(first, second, third)).toEqual(['up ready 75%', 'up ready 25%'])
  })

  test('is full while a new process has not been looked at twice', async () => {
    await open(() => ({ ...AT_REST, eventLoops: [loop(nowMs, 0)] }))
    expect(await ask()).toBe('up ready 100%\n')
  })

  test('stays the same for everyone who asks within a second', async () => {
    let active = 0
    await open(() => ({ ...AT_REST, eventLoops: [loop(active, 1_000)] }))
    nowMs = 999
    active = 1_000_000
    expect(await ask()).toBe('up ready 100%\n')
    nowMs = 1_000
    expect(await ask()).toBe('up ready 5%\n')
  })

  test('does not count a worker that does not run, or has been replaced', async () => {
    const first = [null, loop(0, 0), loop(9_000, 1_000)]
    const second = [loop(800, 200), loop(100, 900), loop(800, 200)]
    const third = [loop(1_800, 200), loop(100, 1_900), null]
    expect(await answersTo(first, second, third)).toEqual(['up ready 90%', 'up ready 50%'])
  })

  test('sinks as the places for clients fill up, but never to nothing', async () => {
    let clients = 0
    await open(() => ({ ...AT_REST, clients, maxClients: 1_000 }))
    const answers: string[] = []
    for (clients of [0, 20, 30, 600, 990, 1_000, 1_100]) answers.push((await ask()).trim())
    const weights = [100, 100, 95, 40, 5, 5, 5]
    expect(answers).toEqual(weights.map(weight => `up ready ${weight}%`))
  })
})

test('after drain() it says drain, until it is closed', async () => {
  const agent = await open()
  await agent.drain()
  expect(await ask()).toBe('drain\n')
  expect(await ask()).toBe('drain\n')
  agent.close()
  await expect(ask()).rejects.toThrow('ECONNREFUSED')
})

test('a successor that shares the port is the only one to answer once the predecessor drains', async () => {
  const predecessor = await open()
  await open(() => ({ ...AT_REST, clients: 1, maxClients: 2 }))
  await predecessor.drain()
  for (let i = 0; i < 20; i++) expect(await ask()).toBe('up ready 50%\n')
})

test('a successor can start while its predecessor drains', async () => {
  const predecessor = await open()
  await predecessor.drain()
  await open()
})

test('a port of somebody else is a reason not to start', async () => {
  const ignore = (): void => {}
  const options = { address: '127.0.0.1', port, backlog: 1, reuseport: false, onClient: ignore, onError: ignore }
  const other = await openListener(options)
  await expect(open()).rejects.toThrow(`bind on agent-check port '127.0.0.1:${port}' failed: Address already in use`)
  other.close()
})
