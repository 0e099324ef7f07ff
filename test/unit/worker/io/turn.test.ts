import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Socket } from '../../../../src/worker/io/socket.ts'
import { Turn } from '../../../../src/worker/io/turn.ts'
import { WorkerMemory } from '../../../../src/worker/memory/worker-memory.ts'

interface Scene {
  readonly turn: Turn
  readonly events: string[]
  /** A socket that only tells of its flush. @param onFlush what its flush leads to. */
  socket(name: string, onFlush?: () => void): Socket
}

function scene(): Scene {
  const turn = new Turn(new WorkerMemory())
  const events: string[] = []
  turn.hooks = {
    begin: () => void events.push('begin'),
    beforeFlush: () => void events.push('before'),
    end: () => void events.push('end'),
  }
  const socket = (name: string, onFlush = (): void => {}): Socket => {
    const flush = (): void => {
      events.push(`flush ${name}`)
      onFlush()
    }
    return { dirty: true, flush } as unknown as Socket
  }
  return { turn, events, socket }
}

test('many events make one turn: begin once, each socket flushed once, end once', async () => {
  const { turn, events, socket } = scene()
  turn.begin()
  turn.addDirty(socket('a'))
  turn.begin()
  turn.addDirty(socket('b'))
  expect(events).toEqual(['begin'])
  await nextTurn()
  expect(events).toEqual(['begin', 'before', 'flush a', 'flush b', 'end'])
  await nextTurn()
  expect(events.length).toBe(5)
})

test('output without an event opens a turn', async () => {
  const { turn, events, socket } = scene()
  turn.addDirty(socket('a'))
  await nextTurn()
  expect(events).toEqual(['begin', 'before', 'flush a', 'end'])
})

test('a flush is told that its socket is clean, so that it can become dirty again', async () => {
  const { turn, socket } = scene()
  const seen: boolean[] = []
  const each: Socket = socket('a', () => seen.push(each.dirty))
  turn.addDirty(each)
  await nextTurn()
  expect(seen).toEqual([false])
})

test('output that a flush makes is written in the same turn', async () => {
  const { turn, events, socket } = scene()
  const second = socket('b')
  turn.addDirty(socket('a', () => turn.addDirty(second)))
  await nextTurn()
  expect(events.slice(0, 4)).toEqual(['begin', 'before', 'flush a', 'begin'])
  expect(events.filter(event => event === 'flush b').length).toBe(1)
})

test('an event of a flush has a turn of its own: what it leaves for the end of a turn is seen to', async () => {
  const { turn, events, socket } = scene()
  turn.addDirty(socket('a', () => turn.begin()))
  await nextTurn()
  await nextTurn()
  expect(events).toEqual(['begin', 'before', 'flush a', 'begin', 'end', 'before', 'end'])
})

test('the clock is read at the first event of a turn, and stands still during it', async () => {
  const { turn } = scene()
  turn.begin()
  const before = turn.nowMs
  while (performance.now() < before + 3);
  turn.begin()
  expect(turn.nowMs).toBe(before)
  await nextTurn()
  turn.begin()
  expect(turn.nowMs).toBeGreaterThanOrEqual(before + 2)
  expect(Number.isInteger(turn.nowMs)).toBe(true)
  await nextTurn()
})
