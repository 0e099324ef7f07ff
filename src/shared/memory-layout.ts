/**
 * The one SharedArrayBuffer between the primary and its workers, and where everything in it lies.
 * The primary allocates one for each configuration generation (start, reload); workers attach.
 * Nothing else is shared.
 *
 *     ┌ control      Int32[32]                       log level, descriptor limits  the primary
 *     ├ workers      Int32[32] a worker              clients, turns, questions     that worker
 *     ├ rows         Float64[] a thread              statistics                    that thread
 *     ├ health       Int32[8] + Float64[4] a server  state, failures, times        any thread
 *     ├ pool heads   Int32[8] a pool                 table epoch, live servers     the primary
 *     ├ script marks Int32[2048] a pool              `script-marks.ts`             any thread
 *     ├ subscribes   Int32[16] a pool and worker     begun, settled subscriptions  that worker
 *     └ tables       two halves a pool               the routing table, see below  the primary
 *
 * The last column names the writer; `clients` of a worker's block has two, the primary and the
 * worker. A row holds the fields of the process, of each pool and of each server; row 0 is the
 * primary's, row w + 1 worker w's.
 *
 * A pool's routing table is published in two halves; the current one is half `epoch & 1`. No thread
 * waits for another: a reader keeps a private copy and makes a new one when the epoch has changed,
 * so a slow, idle or crashed worker cannot delay an ejection.
 *
 *     publisher (the primary, one build at a time)   reader (`routing/ring-router.ts`, once a turn)
 *       1. exchange building := epoch + 1              1. e := load epoch; the copy's epoch: done
 *       2. a task fills half (epoch + 1) & 1           2. copy half e & 1
 *       3. liveServers := …, epoch := epoch + 1        3. building (atomic add of 0) > e + 1: back to 1
 *
 * The publisher's step 1 and the reader's step 3 are read-modify-writes of one word, so they have
 * an order. When the reader's is first, it has copied the half before the publisher writes to it.
 * When the publisher's is first, the reader sees that the half is being written, and copies again.
 */

import { SCRIPT_MARKS_INTS } from './script-marks.ts'
import { POOL_FIELDS, PROCESS_FIELDS, SERVER_FIELDS } from './stat-fields.ts'

/**
 * Int32 indexes into the control block. `descriptorLimit`: limit on the process's descriptors;
 * `maxClients`: limit on clients that follows from it; 0 = no limit. `descriptorReserve`: the worker
 * rejects a client whose descriptor lies within this many of the limit. The primary writes these
 * three before another thread sees the generation, and `logLevel` at any time.
 */
export const Control = {
  logLevel: 0,
  descriptorLimit: 1,
  maxClients: 2,
  descriptorReserve: 3,
} as const

/**
 * Listening sockets of a worker at each TCP address that it listens on itself. libuv accepts one
 * connection a turn and socket; with more of them, new connections share a turn and its writes. CPU
 * for one connection with one request: 98 µs with 1 socket, 87 with 4, 81 with 8, 80 with 16.
 */
export const LISTENERS_A_WORKER = 8

/**
 * Int32 indexes into a worker's block. `clients`: the worker's clients, and those on their way from
 * the primary; `turns`: loop turns with work. `asked`, `answered`: questions from other workers
 * (`worker/io/poll-barrier.ts`), on a cache line of their own. All but `clients` wrap.
 */
export const WorkerBlock = { clients: 0, turns: 1, asked: 16, answered: 17 } as const

/**
 * Int32 indexes into a server's health record. `failures`: failures in a row. `unloggedLosses`:
 * losses of the server since the last one that was logged; `quietLoss`: 1 = the current loss was
 * not logged.
 */
export const Health = { state: 0, failures: 1, unloggedLosses: 2, quietLoss: 3 } as const
/**
 * `ejected`: out of the ring, in pools with `auto_eject_hosts`. `lost`: connections to it fail, in
 * pools without.
 */
export const HealthState = { up: 0, ejected: 1, lost: 2 } as const
/**
 * Float64 indexes into a server's health times, all in the scale of Date.now(); 0 = never.
 * `lostAtMs`, `lossLoggedMs`: when the server became `lost`, and when that was logged last.
 */
export const HealthTime = { retryAtMs: 0, ejectedAtMs: 1, lostAtMs: 2, lossLoggedMs: 3 } as const

/**
 * Int32 indexes into a pool's head. `liveServers` may be 0: then every request fails at once.
 * `building`: epoch of the table that is being written or was written last; only routing reads it.
 */
export const PoolHead = { epoch: 0, liveServers: 1, building: 2 } as const

/**
 * Int32 indexes into a worker's counts of one pool's subscriptions
 * (`worker/redis/pubsub/publish-order.ts`). They wrap.
 */
export const Subscribes = { begun: 0, settled: 1 } as const

/**
 * Int32 indexes into the head of a table half. `checksum`: CRC-32C of everything in the half behind
 * it. `pointCount` 0: no server is live. `modulus` (unsigned; 0 = none) is applied to the hash
 * before the search; `shift`: bits to shift the result by for its bucket.
 */
export const TableHead = { checksum: 0, pointCount: 1, shift: 2, modulus: 3 } as const
const TABLE_HEAD_INTS = 4

export interface PoolShape {
  /** Number of servers. */
  readonly servers: number
  /** Room for the points of any live subset and one sentinel (`routing/ring-table.ts`). */
  readonly points: number
  /** log2 of the number of buckets. */
  readonly bucketBits: number
}

const CONTROL_INTS = 32
const WORKER_INTS = 32
const HEALTH_INTS = 8
const HEALTH_DOUBLES = 4
const POOL_HEAD_INTS = 8
/** One cache line, because each block has another writer. */
const SUBSCRIBES_INTS = 16
const ROW_STEP_DOUBLES = 16

/**
 * One half of a pool's routing table, as views. `bytes`: all of it; `points`: ascending values and
 * a sentinel; `serverOfPoint[i]`: server of points[i]; `buckets[b]` = first point whose value is >=
 * b << shift (length 2^bucketBits).
 */
export interface TableHalf {
  readonly bytes: Uint8Array
  readonly head: Int32Array
  readonly points: Uint32Array
  readonly serverOfPoint: Uint16Array
  readonly buckets: Uint32Array
}

/** Computes all offsets from the shapes alone, so that every thread finds the same ones. */
export class SharedLayout {
  readonly workers: number
  readonly pools: readonly PoolShape[]
  readonly byteLength: number
  /** Doubles from one row to the next. */
  readonly rowDoubles: number
  readonly #serverBase: number[] = []
  readonly #poolStatBase: number[] = []
  readonly #workersAt: number
  readonly #rowsAt: number
  readonly #healthAt: number
  readonly #healthTimesAt: number
  readonly #poolHeadsAt: number
  readonly #subscribesAt: number
  readonly #scriptMarksAt: number
  readonly #tablesAt: number[] = []

  constructor(workers: number, pools: readonly PoolShape[]) {
    this.workers = workers
    this.pools = pools
    let servers = 0
    let doubles: number = PROCESS_FIELDS.length
    for (const pool of pools) {
      this.#serverBase.push(servers)
      this.#poolStatBase.push(doubles)
      servers += pool.servers
      doubles += POOL_FIELDS.length + pool.servers * SERVER_FIELDS.length
    }
    this.rowDoubles = Math.ceil(doubles / ROW_STEP_DOUBLES) * ROW_STEP_DOUBLES
    this.#workersAt = CONTROL_INTS * 4
    this.#rowsAt = align128(this.#workersAt + workers * WORKER_INTS * 4)
    this.#healthAt = align128(this.#rowsAt + (workers + 1) * this.rowDoubles * 8)
    this.#healthTimesAt = align128(this.#healthAt + servers * HEALTH_INTS * 4)
    this.#poolHeadsAt = align128(this.#healthTimesAt + servers * HEALTH_DOUBLES * 8)
    this.#scriptMarksAt = align128(this.#poolHeadsAt + pools.length * POOL_HEAD_INTS * 4)
    this.#subscribesAt = align128(this.#scriptMarksAt + pools.length * SCRIPT_MARKS_INTS * 4)
    let at = align128(this.#subscribesAt + pools.length * workers * SUBSCRIBES_INTS * 4)
    for (const pool of pools) {
      this.#tablesAt.push(at)
      at += 2 * tableHalfBytes(pool)
    }
    this.byteLength = at
  }

  allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(this.byteLength)
  }

  control(shared: SharedArrayBuffer): Int32Array {
    return new Int32Array(shared, 0, CONTROL_INTS)
  }

  worker(shared: SharedArrayBuffer, worker: number): Int32Array {
    return new Int32Array(shared, this.#workersAt + worker * WORKER_INTS * 4, WORKER_INTS)
  }

  /** Statistics row: 0 = primary, worker + 1 = a worker's. */
  row(shared: SharedArrayBuffer, row: number): Float64Array {
    return new Float64Array(shared, this.#rowsAt + row * this.rowDoubles * 8, this.rowDoubles)
  }

  /** First double of a pool's fields in any row. */
  poolStat(pool: number): number {
    return this.#poolStatBase[pool]!
  }

  /** First double of a server's fields in any row. */
  serverStat(pool: number, server: number): number {
    return this.#poolStatBase[pool]! + POOL_FIELDS.length + server * SERVER_FIELDS.length
  }

  health(shared: SharedArrayBuffer, pool: number, server: number): Int32Array {
    const at = this.#healthAt + (this.#serverBase[pool]! + server) * HEALTH_INTS * 4
    return new Int32Array(shared, at, HEALTH_INTS)
  }

  healthTimes(shared: SharedArrayBuffer, pool: number, server: number): Float64Array {
    const at = this.#healthTimesAt + (this.#serverBase[pool]! + server) * HEALTH_DOUBLES * 8
    return new Float64Array(shared, at, HEALTH_DOUBLES)
  }

  poolHead(shared: SharedArrayBuffer, pool: number): Int32Array {
    return new Int32Array(shared, this.#poolHeadsAt + pool * POOL_HEAD_INTS * 4, POOL_HEAD_INTS)
  }

  /** For `ScriptMarks`. */
  scriptMarks(shared: SharedArrayBuffer, pool: number): Int32Array {
    return new Int32Array(shared, this.#scriptMarksAt + pool * SCRIPT_MARKS_INTS * 4, SCRIPT_MARKS_INTS)
  }

  /** A worker's counters of a pool's subscriptions (`Subscribes`). */
  subscribes(shared: SharedArrayBuffer, pool: number, worker: number): Int32Array {
    const at = this.#subscribesAt + (pool * this.workers + worker) * SUBSCRIBES_INTS * 4
    return new Int32Array(shared, at, SUBSCRIBES_INTS)
  }

  /** @param half 0 or 1. */
  table(shared: SharedArrayBuffer, pool: number, half: number): TableHalf {
    const shape = this.pools[pool]!
    return tableHalf(shape, shared, this.#tablesAt[pool]! + half * tableHalfBytes(shape))
  }
}

/** Size of one half, and of a reader's private copy, bytes. */
export function tableHalfBytes(shape: PoolShape): number {
  return align128(TABLE_HEAD_INTS * 4 + shape.points * 4 + (1 << shape.bucketBits) * 4 + shape.points * 2)
}

/** Views of a half that lies at `at` (a multiple of 4) in shared or private memory. */
export function tableHalf(shape: PoolShape, memory: ArrayBufferLike, at: number): TableHalf {
  const bytes = new Uint8Array(memory, at, tableHalfBytes(shape))
  const head = new Int32Array(memory, at, TABLE_HEAD_INTS)
  const pointsAt = at + TABLE_HEAD_INTS * 4
  const points = new Uint32Array(memory, pointsAt, shape.points)
  const bucketsAt = pointsAt + shape.points * 4
  const buckets = new Uint32Array(memory, bucketsAt, 1 << shape.bucketBits)
  const serverOfPoint = new Uint16Array(memory, bucketsAt + (4 << shape.bucketBits), shape.points)
  return { bytes, head, points, serverOfPoint, buckets }
}

function align128(bytes: number): number {
  return Math.ceil(bytes / 128) * 128
}
