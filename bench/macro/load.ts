/**
 * The load itself: connections that write prepared batches and compare every byte that comes back. Runs in the driver's
 * process, alone on its thread.
 *
 *     closed loop   each connection: write a batch ─▶ its whole reply ─▶ write the next      (what rate can it do?)
 *     fixed rate    every millisecond: write what is due, on the connections in turn          (what latency at this rate?)
 *
 * It must never be what is measured, so it is lean: one read buffer for all connections, no parsing, one clock reading
 * a batch. On one core of the machine it was written on it costs 6.4 µs a request without pipelining, 0.5 with 16 and
 * 0.1 with 100; redis-benchmark took 11, 0.6 and 0.2 there.
 */

import { connect, type Socket } from 'node:net'
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { cpuUs } from './accounting.ts'
import { type Batch, buildBatches, type Workload } from './workload.ts'

export interface LoadJob {
  readonly host: string
  readonly port: number
  readonly workload: Workload
  readonly clients: number
  /** Length of the measured window. */
  readonly seconds: number
  /** Load before it, not measured: both sides compile and fill their buffers. */
  readonly warmupSeconds: number
  /** Requests a second, sent whether or not earlier ones are answered; 0 = closed loop. */
  readonly ratePerSecond: number
  readonly seed: number
  /** Processes whose CPU is read at both ends of the window. */
  readonly contenderPids: readonly number[]
  readonly serverPids: readonly number[]
}

export interface LoadResult {
  /** Requests answered in the window. */
  readonly requests: number
  /** Requests answered in all, warm-up included. */
  readonly requestsTotal: number
  readonly seconds: number
  /** From writing a batch to the last byte of its reply. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  /** CPU used in the window, in µs. */
  readonly contenderCpuUs: number
  readonly serverCpuUs: number
  readonly driverCpuUs: number
  /** Fixed rate only: share of the requests due in the window that were sent in it. Below 1 the driver was too slow. */
  readonly sentShare: number
  /** '' when every reply was right. */
  readonly problem: string
}

/** Waiting room of a connection; a closed loop uses one place, a fixed rate as many as are unanswered. */
const UNANSWERED_MAX = 4096
const READ_BUFFER_BYTES = 256 << 10
/** Connections opened at the same time: fewer than the smallest usual listen backlog. */
const CONNECT_WAVE = 100
const STALL_MS = 10_000
const EXCERPT_BYTES = 120

/** Opens the connections, loads, measures one window, and closes them. Never rejects: what goes wrong is `problem`. */
export async function runLoad(job: LoadJob): Promise<LoadResult> {
  const load = new Load(job)
  try {
    await load.open()
    load.start()
    await load.wait(job.warmupSeconds * 1000)
    load.beginWindow()
    await load.wait(job.seconds * 1000)
    load.endWindow()
    await load.drain()
  } catch (error) {
    load.fail(error instanceof Error ? error.message : String(error))
  }
  load.close()
  return load.result()
}

/**
 * Opens the connections, has one batch answered on each, and keeps them open without traffic until `end` resolves.
 * @param ready called once all are idle. @returns the problem, '' when there was none.
 */
export async function holdIdle(job: LoadJob, ready: () => void, end: Promise<void>): Promise<string> {
  const load = new Load(job)
  try {
    await load.open()
    for (const connection of load.connections) connection.send()
    await load.drain()
    ready()
    await Promise.race([end, load.failure])
  } catch (error) {
    load.fail(error instanceof Error ? error.message : String(error))
  }
  load.close()
  return load.problem
}

class Load {
  readonly job: LoadJob
  readonly batches: readonly Batch[]
  readonly readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
  readonly connections: Connection[] = []
  readonly latencyUs: RecordableHistogram = createHistogram()
  /** Closed loop: answers bring new requests. False for a fixed rate and once the load ends. */
  sendsOn = false
  inWindow = false
  answeredBatches = 0
  problem = ''
  readonly failure: Promise<void>
  readonly #failed: () => void
  #timer: NodeJS.Timeout | null = null
  #sentBatches = 0
  #window = { startMs: 0, endMs: 0, batches: 0, sent: 0, contender: 0, servers: 0, driver: 0 }

  constructor(job: LoadJob) {
    const failed = Promise.withResolvers<void>()
    this.failure = failed.promise
    this.#failed = failed.resolve
    this.job = job
    this.batches = buildBatches(job.workload, job.seed)
  }

  async open(): Promise<void> {
    while (this.connections.length < this.job.clients) {
      const wave = Math.min(CONNECT_WAVE, this.job.clients - this.connections.length)
      const opened = Array.from({ length: wave }, () => this.#openOne())
      await Promise.race([Promise.all(opened), this.failure])
      this.#throwProblem()
    }
  }

  start(): void {
    if (this.job.ratePerSecond > 0) {
      this.#startSchedule(this.job.ratePerSecond / this.job.workload.pipeline)
      return
    }
    this.sendsOn = true
    for (const connection of this.connections) connection.send()
  }

  /** Lets the load run; ends early, by throwing, when it failed or stands still. */
  async wait(ms: number): Promise<void> {
    const deadline = performance.now() + ms
    let seen = this.answeredBatches
    let seenAt = performance.now()
    for (let left = ms; left > 0; left = deadline - performance.now()) {
      await Promise.race([delay(Math.min(left, STALL_MS / 10)), this.failure])
      this.#throwProblem()
      if (this.answeredBatches !== seen) seenAt = performance.now()
      seen = this.answeredBatches
      if (performance.now() - seenAt > STALL_MS) throw new Error(`No reply for ${STALL_MS / 1000} s`)
    }
  }

  beginWindow(): void {
    this.#window = {
      startMs: performance.now(),
      endMs: 0,
      batches: this.answeredBatches,
      sent: this.#sentBatches,
      contender: cpuUs(this.job.contenderPids),
      servers: cpuUs(this.job.serverPids),
      driver: ownCpuUs(),
    }
    this.inWindow = true
  }

  endWindow(): void {
    this.inWindow = false
    const began = this.#window
    this.#window = {
      startMs: began.startMs,
      endMs: performance.now(),
      batches: this.answeredBatches - began.batches,
      sent: this.#sentBatches - began.sent,
      contender: cpuUs(this.job.contenderPids) - began.contender,
      servers: cpuUs(this.job.serverPids) - began.servers,
      driver: ownCpuUs() - began.driver,
    }
  }

  /** Sends no more and waits for every reply that is still due, so that these too are compared. */
  async drain(): Promise<void> {
    this.sendsOn = false
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    const deadline = performance.now() + STALL_MS
    while (this.connections.some(connection => connection.unanswered > 0)) {
      if (performance.now() > deadline)
        throw new Error(`Replies still missing ${STALL_MS / 1000} s after the last request`)
      await Promise.race([delay(5), this.failure])
      this.#throwProblem()
    }
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    for (const connection of this.connections) connection.socket.destroy()
  }

  /** The first problem is the one that is told: later ones follow from it. */
  fail(problem: string): void {
    if (this.problem === '') this.problem = problem
    this.sendsOn = false
    this.#failed()
  }

  result(): LoadResult {
    const { pipeline } = this.job.workload
    const window = this.#window
    const seconds = Math.max(0, window.endMs - window.startMs) / 1000
    const due = (this.job.ratePerSecond / pipeline) * seconds
    return {
      requests: window.endMs > 0 ? window.batches * pipeline : 0,
      requestsTotal: this.answeredBatches * pipeline,
      seconds,
      p50Ms: this.latencyUs.percentile(50) / 1000,
      p99Ms: this.latencyUs.percentile(99) / 1000,
      p999Ms: this.latencyUs.percentile(99.9) / 1000,
      contenderCpuUs: window.contender,
      serverCpuUs: window.servers,
      driverCpuUs: window.driver,
      sentShare: due > 0 ? window.sent / due : 1,
      problem: this.problem,
    }
  }

  #openOne(): Promise<void> {
    return new Promise(resolve => {
      // Each begins at another batch: otherwise all connections would ask for the same keys at the same time.
      const first = (this.connections.length * 7) % this.batches.length
      this.connections.push(new Connection(this, first, resolve))
    })
  }

  /**
   * Node's timers are good to a millisecond, so what is due is sent in small bursts, and never less than what is due.
   */
  #startSchedule(batchesPerSecond: number): void {
    const start = performance.now()
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - start) / 1000) * batchesPerSecond)
      while (this.#sentBatches < due && this.problem === '') {
        this.connections[this.#sentBatches % this.connections.length]!.send()
        this.#sentBatches++
      }
    }, 1)
  }

  #throwProblem(): void {
    if (this.problem !== '') throw new Error(this.problem)
  }
}

/** One client: a ring of the batches that it has sent and whose replies are due, oldest first. */
class Connection {
  readonly load: Load
  readonly socket: Socket
  unanswered = 0
  #next: number
  #oldest = 0
  /** Bytes of the oldest reply that are in. */
  #received = 0
  readonly #sentBatch: Uint16Array
  readonly #sentAtMs: Float64Array

  constructor(load: Load, first: number, connected: () => void) {
    const places = load.job.ratePerSecond > 0 ? UNANSWERED_MAX : 1
    this.load = load
    this.#next = first
    this.#sentBatch = new Uint16Array(places)
    this.#sentAtMs = new Float64Array(places)
    this.socket = connect({
      host: load.job.host,
      port: load.job.port,
      noDelay: true,
      onread: {
        buffer: load.readBuffer,
        callback: (bytes: number) => {
          this.#receive(bytes)
          return true
        },
      },
    })
    this.socket.once('connect', connected)
    this.socket.on('error', error => load.fail(`Connection failed: ${error.message}`))
    this.socket.on('end', () => load.fail('Connection closed by the other side'))
  }

  send(): void {
    const places = this.#sentBatch.length
    if (this.unanswered === places) {
      this.load.fail(`${places} requests unanswered on one connection`)
      return
    }
    const place = (this.#oldest + this.unanswered) % places
    this.#sentBatch[place] = this.#next
    this.#sentAtMs[place] = performance.now()
    this.unanswered++
    this.socket.write(this.load.batches[this.#next]!.request)
    this.#next = this.#next + 1 === this.load.batches.length ? 0 : this.#next + 1
  }

  #receive(bytes: number): void {
    const { load } = this
    let at = 0
    while (at < bytes) {
      if (this.unanswered === 0) {
        load.fail(`Bytes without a request: ${excerpt(load.readBuffer, at, bytes)}`)
        return
      }
      const { reply } = load.batches[this.#sentBatch[this.#oldest]!]!
      const take = Math.min(bytes - at, reply.length - this.#received)
      if (reply.compare(load.readBuffer, at, at + take, this.#received, this.#received + take) !== 0) {
        const expected = excerpt(reply, this.#received, reply.length)
        load.fail(`Wrong reply: ${excerpt(load.readBuffer, at, bytes)} in place of ${expected}`)
        return
      }
      at += take
      this.#received += take
      if (this.#received === reply.length) this.#answered()
    }
  }

  #answered(): void {
    const { load } = this
    const tookUs = (performance.now() - this.#sentAtMs[this.#oldest]!) * 1000
    if (load.inWindow) load.latencyUs.record(Math.max(1, Math.round(tookUs)))
    load.answeredBatches++
    this.#received = 0
    this.#oldest = (this.#oldest + 1) % this.#sentBatch.length
    this.unanswered--
    if (load.sendsOn) this.send()
  }
}

function excerpt(bytes: Buffer, start: number, end: number): string {
  return JSON.stringify(bytes.toString('latin1', start, Math.min(end, start + EXCERPT_BYTES)))
}

function ownCpuUs(): number {
  const usage = process.cpuUsage()
  return usage.user + usage.system
}

function delay(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
