import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { type ReaderData, type ReaderReport, Sync } from './publication-reader.ts'
import { equalPool, PublishedPool } from './published-pool.ts'

const WAIT_MS = 20_000

class Reader {
  readonly sync = new Int32Array(new SharedArrayBuffer(8))
  readonly report: Promise<ReaderReport>

  constructor(published: PublishedPool, role: ReaderData['role']) {
    const workerData: ReaderData = { pool: published.pool, shared: published.shared, sync: this.sync, role }
    const worker = new Worker(new URL('./publication-reader.ts', import.meta.url), { workerData })
    this.report = once(worker, 'message').then(([report]) => report as ReaderReport)
  }

  /** Blocks until the reader has signalled more than `count` times. */
  async reachedMoreThan(count: number): Promise<void> {
    const wait = Atomics.waitAsync(this.sync, Sync.reached, count, WAIT_MS)
    if (wait.async) expect(await wait.value).not.toBe('timed-out')
  }

  release(): void {
    Atomics.store(this.sync, Sync.released, 1)
    Atomics.notify(this.sync, Sync.released)
  }
}

async function haltedInCopy(): Promise<{ published: PublishedPool; reader: Reader }> {
  const published = new PublishedPool(equalPool(12))
  published.publish([0, 1, 2])
  const reader = new Reader(published, 'halt-in-copy')
  await reader.reachedMoreThan(0)
  return { published, reader }
}

describe('publication of tables', () => {
  test('a reader halted in a copy keeps it while only the other half is written', async () => {
    const { published, reader } = await haltedInCopy()
    published.publish([3, 4, 5])
    reader.release()
    expect(await reader.report).toEqual({ epoch: 1, copies: 1, torn: 0 })
  })

  test('a reader halted in a copy takes the next table when its half is being rewritten', async () => {
    const { published, reader } = await haltedInCopy()
    published.publish([3, 4, 5])
    published.claim().bytes.fill(0xa5)
    reader.release()
    expect(await reader.report).toEqual({ epoch: 2, copies: 2, torn: 0 })
  })

  test('a reader halted in a copy takes the latest table when its half was rewritten and published', async () => {
    const { published, reader } = await haltedInCopy()
    for (const live of [[3, 4, 5], [6, 7], [8], [9, 10, 11]]) published.publish(live)
    reader.release()
    expect(await reader.report).toEqual({ epoch: 5, copies: 2, torn: 0 })
  })

  test('readers that follow hundreds of publications never see a torn table', async () => {
    const published = new PublishedPool(equalPool(12))
    published.publish()
    const readers = [new Reader(published, 'follow'), new Reader(published, 'follow')]
    for (const reader of readers) await reader.reachedMoreThan(0)
    for (let round = 0; round < 20; round++) {
      const seen = readers.map(reader => Atomics.load(reader.sync, Sync.reached))
      for (let i = 0; i < 20; i++) published.publish([round % 12, 5 + (i % 7)].sort((a, b) => a - b))
      for (const [i, reader] of readers.entries()) await reader.reachedMoreThan(seen[i])
    }
    for (const reader of readers) reader.release()
    for (const reader of readers) {
      const report = await reader.report
      expect(report.torn).toBe(0)
      expect(report.copies).toBeGreaterThan(20)
    }
  })
})
