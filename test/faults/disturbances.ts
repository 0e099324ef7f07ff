/** Clients that behave badly, for scenarios in which other clients must not notice. Each one stops when its time is over. */

import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '../support/random.ts'
import { encode } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'

const FLOODERS = 4
const FLOOD_BATCH = 200
const LARGE_BYTES = 100_000

export interface Disturbance {
  readonly port: number
  readonly random: Random
  readonly ms: number
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  // The proxy may disconnect such a client.
  socket.on('error', () => {})
  await new Promise(resolve => socket.once('connect', resolve))
  return socket
}

async function until(deadlineMs: number, act: () => Promise<void>): Promise<void> {
  while (performance.now() < deadlineMs) await act()
}

/** Asks for large values as fast as it can and reads nothing. */
export async function flood({ port, ms }: Disturbance): Promise<void> {
  const deadlineMs = performance.now() + ms
  const setup = await Wire.open({ port })
  setup.send(encode('SET', 'flood', 'x'.repeat(LARGE_BYTES)))
  await setup.redisReplies(1)
  setup.destroy()
  const batch = Buffer.concat(Array.from({ length: FLOOD_BATCH }, () => encode('GET', 'flood')))
  const sockets = await Promise.all(Array.from({ length: FLOODERS }, () => open(port)))
  for (const socket of sockets) socket.pause()
  await until(deadlineMs, async () => {
    for (const socket of sockets) if (!socket.writableNeedDrain) socket.write(batch)
    await delay(10)
  })
  for (const socket of sockets) socket.destroy()
}

/** Sends a part of a request, and then waits with the rest of it. */
export async function stall({ port, random, ms }: Disturbance): Promise<void> {
  const deadlineMs = performance.now() + ms
  const sockets: Socket[] = []
  await until(deadlineMs, async () => {
    const socket = await open(port)
    const request = encode('SET', `stall-${random.below(100)}`, 'y'.repeat(random.pick([10, 1_000, 50_000, 600_000])))
    socket.write(request.subarray(0, random.between(1, request.length - 1)))
    sockets.push(socket)
    await delay(5)
  })
  for (const socket of sockets) socket.destroy()
}

/** Breaks its connection off in the middle of requests and of replies, small and large. */
export async function reset({ port, random, ms }: Disturbance): Promise<void> {
  await until(performance.now() + ms, async () => {
    const socket = await open(port)
    const key = `reset-${random.below(20)}`
    const requests = [encode('SET', key, 'z'.repeat(random.pick([10, 20_000, 900_000]))), encode('GET', key)]
    const pipeline = Buffer.concat(Array.from({ length: random.between(1, 20) }, () => random.pick(requests)))
    socket.write(pipeline.subarray(0, random.between(1, pipeline.length)))
    await delay(random.below(6))
    if (random.chance(0.7)) socket.resetAndDestroy()
    else socket.destroy()
  })
}

/** Sends all its requests, then its FIN, and reads afterwards. @returns what it got that it should not have got. */
export async function halfClose({ port, random, ms }: Disturbance): Promise<string[]> {
  const wrong: string[] = []
  let number = 0
  await until(performance.now() + ms, async () => {
    const wire = await Wire.open({ port })
    const values = Array.from({ length: random.between(1, 30) }, () => `half-${++number}`)
    const key = `half-${random.below(10)}`
    wire.send(Buffer.concat(values.map(value => Buffer.concat([encode('SET', key, value), encode('GET', key)]))))
    wire.end()
    const got = (await wire.untilClosed()).toString()
    const expected = values.map(value => `+OK\r\n$${value.length}\r\n${value}\r\n`).join('')
    if (got !== expected) wrong.push(`${got.length} of ${expected.length} bytes: ${got.slice(-100)}`)
    wire.destroy()
  })
  return wrong
}

/** Connects and leaves at once, with and without a word. */
export async function comeAndGo({ port, random, ms }: Disturbance): Promise<void> {
  await until(performance.now() + ms, async () => {
    const socket = await open(port)
    if (random.chance(0.5)) socket.write(encode('PING'))
    if (random.chance(0.5)) socket.resetAndDestroy()
    else socket.destroy()
    await delay(1)
  })
}
