/**
 * Whole generations for tests of the primary, with real tables that are filled on the test's own
 * thread.
 */

import { firstGeneration, type GenerationSettings, type LocalGeneration } from '../../src/main/generation/generation.ts'
import type { TableTask } from '../../src/routing/ring-table-task.ts'
import { runTableTask } from '../../src/routing/ring-table-task.ts'
import type { Config } from '../../src/shared/config.ts'
import { PoolHead, TableHead } from '../../src/shared/memory-layout.ts'

/** A table thread that the test can hold up and make fail. */
export class FakeTableThread {
  /** Each build calls this first. */
  before: () => Promise<void> = async () => {}
  closed = false

  async run(task: TableTask): Promise<void> {
    await this.before()
    runTableTask(task)
  }

  async warmUp(): Promise<void> {}

  async close(): Promise<void> {
    this.closed = true
  }
}

export interface TestSettings extends GenerationSettings {
  /** Oldest first. */
  readonly threads: FakeTableThread[]
}

export function testSettings(workers: number): TestSettings {
  const threads: FakeTableThread[] = []
  const newTableThread = (): FakeTableThread => {
    const thread = new FakeTableThread()
    threads.push(thread)
    return thread
  }
  return { workers, threads, newTableThread }
}

export function localGeneration(
  config: Config,
  settings: GenerationSettings = testSettings(1),
): Promise<LocalGeneration> {
  return firstGeneration(config, settings, 5)
}

/** Which servers the published table of a pool has, ascending. */
export function routedServers({ layout, shared }: LocalGeneration, pool: number): number[] {
  const epoch = Atomics.load(layout.poolHead(shared, pool), PoolHead.epoch)
  const { head, serverOfPoint } = layout.table(shared, pool, epoch & 1)
  return [...new Set(serverOfPoint.subarray(0, head[TableHead.pointCount]))].sort((left, right) => left - right)
}
