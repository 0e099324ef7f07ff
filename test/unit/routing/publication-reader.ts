/**
 * The reading side of `publication.test.ts`, a thread of its own: a router over the shared tables. Each role ends with one message.
 * `sync` is the test's handshake: see `Sync`.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { tableChecksum } from '../../../src/routing/ring-table.ts'
import type { PoolConfig } from '../../../src/shared/config.ts'
import { TableHead } from '../../../src/shared/memory-layout.ts'
import { PublishedPool } from './published-pool.ts'

export interface ReaderData {
  readonly pool: PoolConfig
  readonly shared: SharedArrayBuffer
  readonly sync: Int32Array
  /** `halt-in-copy`: stops in the middle of its next copy until it is released. `follow`: refreshes as fast as it can. */
  readonly role: 'halt-in-copy' | 'follow'
}

/** Int32 indexes: the reader raises `reached`, the test raises `released`. For `follow`, `reached` counts tables seen, `released` stops. */
export const Sync = { reached: 0, released: 1 } as const

export interface ReaderReport {
  readonly epoch: number
  readonly copies: number
  /** Copies whose checksum was wrong when `refresh` returned. */
  readonly torn: number
}

if (parentPort !== null) parentPort.postMessage(read(workerData as ReaderData))

function read({ pool, shared, sync, role }: ReaderData): ReaderReport {
  const router = new PublishedPool(pool, shared).router()
  const own = router.table.bytes
  let copies = 0
  let torn = 0
  let halts = role === 'halt-in-copy' ? 1 : 0
  Object.defineProperty(own, 'set', {
    value(source: Uint8Array) {
      const middle = source.length >> 1
      for (let at = 0; at < source.length; at++) {
        if (at === middle && halts-- > 0) {
          signal(sync)
          Atomics.wait(sync, Sync.released, 0)
        }
        own[at] = source[at]
      }
      copies++
    },
  })
  // Taken again even if the epoch is still the one of the constructor's copy.
  router.epoch = -1
  do {
    const before = copies
    router.refresh()
    if (copies > before) {
      if (tableChecksum(router.table) !== router.table.head[TableHead.checksum]) torn++
      if (role === 'follow') signal(sync)
    }
  } while (role === 'follow' && Atomics.load(sync, Sync.released) === 0)
  return { epoch: router.epoch, copies, torn }
}

function signal(sync: Int32Array): void {
  Atomics.add(sync, Sync.reached, 1)
  Atomics.notify(sync, Sync.reached)
}
