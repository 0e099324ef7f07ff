import { afterEach, describe, expect, test } from 'vitest'
import { INLINE_POINTS, TableBuilder, type TableRunner } from '../../../../src/main/generation/table-builder.ts'
import { TableThread } from '../../../../src/main/generation/table-thread.ts'
import { KeyExplainer } from '../../../../src/routing/explain.ts'
import { RingRouter } from '../../../../src/routing/ring-router.ts'
import { fillTable, shapeOf } from '../../../../src/routing/ring-table.ts'
import type { TableTask } from '../../../../src/routing/ring-table-task.ts'
import type { Config } from '../../../../src/shared/config.ts'
import { PoolHead, SharedLayout } from '../../../../src/shared/memory-layout.ts'
import { configOf, poolOf, serverAt } from '../../../support/generation.ts'

const KEYS = Array.from({ length: 300 }, (_, i) => Buffer.from(`key:${i}`))

function poolNamed(name: string, servers: number) {
  return poolOf(name, { servers: Array.from({ length: servers }, (_, i) => serverAt(`${name}-${1000 + i}`)) })
}

/** Fills tables when it is told to, in order; remembers which sets were asked for. */
class HandRunner implements TableRunner {
  readonly asked: number[][] = []
  readonly #waiting: { task: TableTask; resolve: () => void; reject: (error: Error) => void }[] = []

  run(task: TableTask): Promise<void> {
    this.asked.push(task.input.servers.map(server => server.index))
    return new Promise((resolve, reject) => this.#waiting.push({ task, resolve, reject }))
  }

  finish(spoil?: (task: TableTask) => void): void {
    const { task, resolve } = this.#waiting.shift()!
    fillTable(task.input, task.half)
    spoil?.(task)
    resolve()
  }

  fail(): void {
    this.#waiting.shift()!.reject(new Error('thread died'))
  }
}

function generation(config: Config, runner: TableRunner) {
  const layout = new SharedLayout(1, config.pools.map(shapeOf))
  const shared = layout.allocate()
  const tables = new TableBuilder(config, layout, shared, runner)
  const head = (pool: number, field: number) => Atomics.load(layout.poolHead(shared, pool), field)
  const owners = (pool: number) => {
    const router = new RingRouter(config.pools[pool], layout, shared, pool)
    return KEYS.map(key => router.route(key, 0, key.length))
  }
  const expected = (pool: number, live: readonly number[]) => {
    const explainer = new KeyExplainer(config.pools[pool], live)
    return KEYS.map(key => explainer.explain(key).index)
  }
  return { tables, head, owners, expected }
}

describe('table builder', () => {
  const threads: TableThread[] = []
  const newThread = (staysWarm = false) => {
    const thread = new TableThread(
      new URL('../../../../src/routing/ring-table-task.ts', import.meta.url),
      staysWarm,
      error => expect.unreachable(error.message),
    )
    threads.push(thread)
    return thread
  }
  afterEach(async () => {
    for (const thread of threads.splice(0)) await thread.close()
  })

  test('first tables of small pools are there without a thread', async () => {
    const runner = new HandRunner()
    const { tables, head, owners, expected } = generation(configOf(poolNamed('a', 3), poolNamed('b', 1)), runner)
    await tables.buildFirst()
    expect(runner.asked).toEqual([])
    expect(owners(0)).toEqual(expected(0, [0, 1, 2]))
    expect(owners(1)).toEqual(expected(1, [0]))
    expect([head(0, PoolHead.liveServers), head(1, PoolHead.liveServers)]).toEqual([3, 1])
  })

  test('first tables beyond the inline limit come from the thread', async () => {
    const big = Math.ceil(INLINE_POINTS / 160)
    const config = configOf(poolNamed('a', 2), poolNamed('b', big), poolNamed('c', 2))
    const { tables, owners, expected } = generation(config, newThread())
    await tables.buildFirst()
    for (let pool = 0; pool < 3; pool++) {
      expect(owners(pool)).toEqual(expected(pool, Array.from(config.pools[pool].servers.keys())))
    }
  })

  test.each(['cold', 'warm'])('a %s thread fills the table of the live servers, and publishes it', async kind => {
    const thread = newThread(kind === 'warm')
    await thread.warmUp()
    const { tables, head, owners, expected } = generation(configOf(poolNamed('a', 5), poolNamed('b', 4)), thread)
    await tables.buildFirst()
    const untouched = owners(0)
    await tables.build(1, [0, 3])
    expect(owners(1)).toEqual(expected(1, [0, 3]))
    expect([head(1, PoolHead.epoch), head(1, PoolHead.liveServers)]).toEqual([2, 2])
    await tables.build(1, [])
    expect(owners(1)).toEqual(expected(1, []))
    expect(head(1, PoolHead.liveServers)).toBe(0)
    expect(owners(0)).toEqual(untouched)
  })

  test('a closed thread is started again by the next task', async () => {
    const thread = newThread()
    const { tables, owners, expected } = generation(configOf(poolNamed('a', 3)), thread)
    await tables.build(0, [0, 1])
    await thread.close()
    await tables.build(0, [2])
    expect(owners(0)).toEqual(expected(0, [2]))
  })

  test('a build whose thread is closed rejects, and the table before stays', async () => {
    const thread = newThread(true)
    const { tables, owners, expected } = generation(configOf(poolNamed('a', 3)), thread)
    await tables.buildFirst()
    await thread.warmUp()
    const build = tables.build(0, [2])
    const rejected = expect(build).rejects.toThrow('Terminating')
    await thread.close()
    await rejected
    expect(owners(0)).toEqual(expected(0, [0, 1, 2]))
  })

  test('of the live sets asked for during a build only the latest is built, and everybody waits for it', async () => {
    const runner = new HandRunner()
    const { tables, head, owners, expected } = generation(configOf(poolNamed('a', 4)), runner)
    const asked = [[0, 1, 2], [0, 1], [0], [0, 3]].map(live => tables.build(0, live))
    expect(runner.asked).toEqual([[0, 1, 2]])
    runner.finish()
    await expect.poll(() => runner.asked.length).toBe(2)
    expect(head(0, PoolHead.epoch)).toBe(1)
    runner.finish()
    await Promise.all(asked)
    expect(runner.asked).toEqual([
      [0, 1, 2],
      [0, 3],
    ])
    expect(owners(0)).toEqual(expected(0, [0, 3]))
  })

  test('a set asked for while a build is ending is built too, whichever moment that is', async () => {
    for (let ticks = 0; ticks < 10; ticks++) {
      const runner: TableRunner = { run: async task => fillTable(task.input, task.half) }
      const { tables, owners, expected } = generation(configOf(poolNamed('a', 4)), runner)
      const first = tables.build(0, [0])
      for (let tick = 0; tick < ticks; tick++) await null
      await tables.build(0, [1])
      expect(owners(0), `asked ${ticks} ticks later`).toEqual(expected(0, [1]))
      await first
    }
  })

  test('a table that is not whole is never published; the next one is', async () => {
    const runner = new HandRunner()
    const { tables, head, owners, expected } = generation(configOf(poolNamed('a', 4)), runner)
    await tables.buildFirst()
    const torn = tables.build(0, [0, 1])
    runner.finish(task => {
      task.half.serverOfPoint[17] ^= 1
    })
    await expect(torn).rejects.toThrow('table of pool a is whole')
    expect(head(0, PoolHead.epoch)).toBe(1)
    expect(owners(0)).toEqual(expected(0, [0, 1, 2, 3]))
    const next = tables.build(0, [0, 1])
    runner.finish()
    await next
    expect(owners(0)).toEqual(expected(0, [0, 1]))
  })

  test('a failed build does not take a later one with it', async () => {
    const runner = new HandRunner()
    const { tables, owners, expected } = generation(configOf(poolNamed('a', 4)), runner)
    const asked = [tables.build(0, [0]), tables.build(0, [1])]
    runner.fail()
    await expect.poll(() => runner.asked.length).toBe(2)
    runner.finish()
    await Promise.all(asked)
    expect(owners(0)).toEqual(expected(0, [1]))
  })
})
