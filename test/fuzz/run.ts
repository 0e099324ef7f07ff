/** Options, counting and reporting of the fuzz. Loaded by `main.ts` once the handles are in place. */

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { Random } from '../support/random.ts'
import { ClientKind } from './client-kind.ts'
import { ConfigKind } from './config-kind.ts'
import { Fault } from './fault.ts'
import { INJECTED_FAULTS, type InjectedFault } from './injected-fault.ts'
import type { Case, Kind } from './kind.ts'
import { minimise, tryCase } from './minimise.ts'
import { ProxyKind } from './proxy-kind.ts'
import { ServerKind } from './server-kind.ts'

const COUNT = 1_000_000
const PROGRESS_MS = 10_000
/** CPU time from which a case counts as one that does not end, ms. */
const MOST_CPU_MS = 3_000
/** The process is ended when one case takes this long, seconds. */
const PATIENCE_SEC = 120
/** Streams in which an injected fault must be found. */
const INJECTED_STREAMS = 2_000

export const KINDS: readonly Kind[] = [
  new ClientKind('redis', 300_000),
  new ClientKind('memcache', 200_000),
  new ServerKind('redis', 200_000),
  new ServerKind('memcache', 150_000),
  new ConfigKind(90_000),
  new ProxyKind(60_000),
]

const usage = `npm run fuzz -- [COUNT [SEED]] [options]
  COUNT             mutated streams, over all kinds (default ${COUNT})
  SEED              of the run (default: from the clock; printed)
  --kinds=A,B       only these of: ${KINDS.map(kind => kind.name).join(', ')}
  --faults=N        stop after N faults (default 1)
  --out=FOLDER      write failed cases there (default: a new folder under ${tmpdir()})
  --case=KIND:SEED  one case, as printed
  --kept            only the cases kept in test/fuzz/corpus/cases.json
  --self-check      injects faults and prints which of them were found
`

/** A case on disk: strings are bytes, one char a byte. */
export interface KeptCase {
  readonly kind: string
  readonly seed: number
  readonly found: string
  readonly streams: readonly string[]
}

export async function fuzzMain(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      kinds: { type: 'string' },
      faults: { type: 'string', default: '1' },
      out: { type: 'string', default: '' },
      case: { type: 'string' },
      kept: { type: 'boolean', default: false },
      'self-check': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return 0
  }
  const [count = String(COUNT), seed = String(Math.trunc(Date.now() % 0x7fffffff))] = positionals
  const names = values.kinds?.split(',') ?? KINDS.map(kind => kind.name)
  const kinds = KINDS.filter(kind => names.includes(kind.name))
  const run = new Run(Number(seed), Number(values.faults), values.out)
  console.log(`seed ${run.seed}`)
  if (values['self-check']) return selfCheck(run.seed)
  if (values.case !== undefined) {
    const [name, caseSeed] = values.case.split(':')
    const kind = KINDS.find(each => each.name === name)!
    await run.one(kind, kind.make(Number(caseSeed)))
    return run.report()
  }
  await run.kept()
  if (!values.kept) await run.all(kinds, Number(count))
  return run.report()
}

class Run {
  readonly seed: number
  private readonly mostFaults: number
  private out: string
  private faults = 0
  private readonly startMs = performance.now()
  private printedMs = performance.now()
  private readonly counts = new Map<string, { streams: number; cases: number; ms: number }>()
  private readonly watch = watchdog()

  constructor(seed: number, mostFaults: number, out: string) {
    this.seed = seed
    this.mostFaults = mostFaults
    this.out = out
  }

  private get isOver(): boolean {
    return this.faults >= this.mostFaults
  }

  /** Cases that failed once. */
  async kept(): Promise<void> {
    for (const { kind, seed, streams } of keptCases()) {
      const found = KINDS.find(each => each.name === kind)!
      await this.one(found, { seed, streams: streams.map(stream => Buffer.from(stream, 'latin1')) })
    }
  }

  /**
   * @param count streams, shared out among the kinds by their shares. They take turns, so that a
   * run that is ended early has done some of each.
   */
  async all(kinds: readonly Kind[], count: number): Promise<void> {
    const root = new Random(this.seed)
    const sum = kinds.reduce((total, kind) => total + kind.share, 0)
    const seeds = kinds.map((_, i) => root.fork(i))
    for (let done = 0; done < count && !this.isOver; ) {
      for (const [i, kind] of kinds.entries()) {
        const due = Math.ceil((Math.min(count, done + 1_000) * kind.share) / sum)
        while (this.streams(kind) < due && !this.isOver) await this.one(kind, kind.make(seeds[i]!.word()))
      }
      done += 1_000
    }
  }

  private streams(kind: Kind): number {
    return this.counts.get(kind.name)?.streams ?? 0
  }

  async one(kind: Kind, fuzzed: Case): Promise<void> {
    Atomics.store(this.watch, 1, fuzzed.seed | 0)
    Atomics.add(this.watch, 0, 1)
    const startMs = performance.now()
    const cpu = process.cpuUsage()
    let fault = await tryCase(kind, fuzzed, null)
    const { user, system } = process.cpuUsage(cpu)
    const cpuMs = (user + system) / 1_000
    if (fault === null && cpuMs > MOST_CPU_MS)
      fault = new Fault('hang', `it takes ${Math.round(cpuMs)} ms of the processor`)
    const counts = this.counts.get(kind.name) ?? { streams: 0, cases: 0, ms: 0 }
    counts.streams += fuzzed.streams.length
    counts.cases++
    counts.ms += performance.now() - startMs
    this.counts.set(kind.name, counts)
    if (fault !== null) await this.failed(kind, fuzzed, fault)
    if (performance.now() - this.printedMs >= PROGRESS_MS) this.print()
  }

  private async failed(kind: Kind, fuzzed: Case, fault: Fault): Promise<void> {
    this.faults++
    console.log(
      `\n${fault.class.toUpperCase()} in ${kind.name}:${fuzzed.seed} (run seed ${this.seed})\n  ${fault.message}`,
    )
    const small = await minimise(kind, fuzzed, fault, null)
    const kept: KeptCase = {
      kind: kind.name,
      seed: fuzzed.seed,
      found: `${small.fault.class}: ${small.fault.message}`,
      streams: small.fuzzed.streams.map(stream => stream.toString('latin1')),
    }
    if (this.out === '') this.out = mkdtempSync(join(tmpdir(), 'pistachio-fuzz-'))
    const file = join(this.out, `${kind.name}-${fuzzed.seed}.json`)
    writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`)
    console.log(`smallest: ${small.fault.message}\n  ${JSON.stringify(kept.streams)}\n  in ${file}\n`)
  }

  private print(): void {
    this.printedMs = performance.now()
    const parts = [...this.counts].map(([name, { streams }]) => `${name} ${streams}`)
    const total = [...this.counts.values()].reduce((sum, { streams }) => sum + streams, 0)
    const seconds = (this.printedMs - this.startMs) / 1_000
    const rss = Math.round(process.memoryUsage.rss() / 1_048_576)
    console.log(
      `${Math.round(seconds)} s  ${total} streams, ${Math.round(total / seconds)} a second  ${rss} MB  ${parts.join('  ')}`,
    )
  }

  /** @returns the exit code. */
  report(): number {
    this.print()
    for (const [name, { streams, cases, ms }] of this.counts) {
      console.log(`  ${name}: ${streams} streams in ${cases} cases, ${Math.round(streams / (ms / 1_000))} a second`)
    }
    console.log(this.faults === 0 ? 'no fault' : `${this.faults} faults; seed ${this.seed}`)
    return this.faults === 0 ? 0 : 1
  }
}

export function keptCases(): readonly KeptCase[] {
  const { cases } = JSON.parse(readFileSync(new URL('corpus/cases.json', import.meta.url), 'utf8')) as {
    cases: KeptCase[]
  }
  return cases
}

/** Injects each fault in each kind that can show it. @returns the exit code: 0 when all were found, and nothing without an injected fault. */
async function selfCheck(seed: number): Promise<number> {
  let missed = 0
  for (const injected of INJECTED_FAULTS) {
    for (const kind of KINDS.filter(each => injected.concerns(each.name))) {
      const found = await findInjected(kind, injected, new Random(seed))
      if (found.startsWith('MISSED')) missed++
      console.log(`injected ${injected.name} in ${kind.name}: ${found}`)
    }
  }
  console.log(missed === 0 ? 'all injected faults were found' : `${missed} injected faults were missed`)
  return missed === 0 ? 0 : 1
}

async function findInjected(kind: Kind, injected: InjectedFault, random: Random): Promise<string> {
  for (let streams = 0, cases = 1; streams < INJECTED_STREAMS; cases++) {
    const fuzzed = kind.make(random.word())
    streams += fuzzed.streams.length
    const fault = await tryCase(kind, fuzzed, injected)
    if (fault === null) continue
    if ((await tryCase(kind, fuzzed, null)) !== null) return 'MISSED: the case fails without it'
    if (!(injected.expected?.includes(fault.class) ?? true)) return `MISSED, but ${fault.class}: ${fault.message}`
    return `${fault.class}, in case ${cases}`
  }
  return 'MISSED'
}

/** A thread that sleeps, and ends the process when one case does not end. @returns [cases begun, seed of the last]. */
function watchdog(): Int32Array {
  const state = new Int32Array(new SharedArrayBuffer(8))
  const code = `
    const { workerData: { state, sec } } = require('node:worker_threads')
    let seen = -1
    setInterval(() => {
      if (state[0] === seen) {
        require('node:fs').writeSync(2, 'a case does not end: seed ' + (state[1] >>> 0) + '\\n')
        process.kill(process.pid, 'SIGKILL')
      }
      seen = state[0]
    }, sec * 1000)`
  new Worker(code, { eval: true, workerData: { state, sec: PATIENCE_SEC } }).unref()
  return state
}
