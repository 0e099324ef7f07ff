/**
 * Runs one scenario: starts all contenders and warms them up, then they are measured in interleaved rounds, so that a slow
 * minute of the machine falls on all of them, and ended. Called by `run.ts`.
 *
 *     start all ─▶ warm up each ─▶ round 1: A B C │ round 2: B C A │ round 3: C A B ─▶ settle ─▶ end all
 */

import { cpuUs, endedChildrenCpuUs, peakBytes, resetPeak, residentBytes } from './accounting.ts'
import { type Contender, type Running, startContender } from './contenders.ts'
import { driveIdle, driveLoad } from './driver-process.ts'
import type { LoadJob, LoadResult } from './load.ts'
import { delay, type Processes } from './processes.ts'
import { runRedisBenchmark } from './redis-benchmark.ts'
import type { Metrics, ScenarioResult } from './results.ts'
import type { Scenario } from './scenarios.ts'
import type { ServerCounters, ServerGroup } from './servers.ts'
import { medianOfRounds } from './statistics.ts'
import type { Protocol, Workload } from './workload.ts'

export interface MeasureOptions {
  readonly rounds: number
  /** Measured window of a round. */
  readonly seconds: number
  /** Load on each contender before its first round. */
  readonly warmupSeconds: number
  /** Quiet time before the settled memory is read. */
  readonly settleSeconds: number
  readonly seed: number
}

export interface MeasureContext {
  readonly processes: Processes
  readonly options: MeasureOptions
  readonly contenders: readonly Contender[]
  /** Contender and protocol, to the reason why it did not start: it is not tried again. */
  readonly unstartable: Map<string, string>
  servers(protocol: Protocol): Promise<ServerGroup>
}

/** All that the measurement of one scenario needs. */
interface Trial extends MeasureContext {
  readonly scenario: Scenario
  readonly group: ServerGroup
}

/** The driver's own warm-up in each round: it compiles, its connections open. */
const DRIVER_WARMUP_SECONDS = 0.25
/** New connections that redis-benchmark makes to learn the rate. */
const CONNECT_PROBE_REQUESTS = 2_000
const REQUESTS_MIN = 1_000
/** Load before the memory of idle clients is counted. */
const ORDINARY_CLIENTS = 50
/** A fixed rate that the driver itself cannot keep says nothing about latency. */
const SENT_SHARE_MIN = 0.98

/** What happens to one contender in a scenario. */
interface Candidate {
  readonly contender: Contender
  running: Running | null
  readonly rounds: Metrics[]
  /** Rate in the warm-up: how many requests make a round of redis-benchmark. */
  expectedRate: number
  problem: string
}

/** Measures every contender. One that fails gets a result with the problem; the others go on. */
export async function measureScenario(context: MeasureContext, scenario: Scenario): Promise<ScenarioResult[]> {
  const group = await context.servers(scenario.workload.protocol)
  await group.fill(scenario.workload)
  const trial: Trial = { ...context, scenario, group }
  const wanted = context.contenders.filter(each => each.command !== '' || isMeasuredDirectly(scenario))
  const candidates = wanted.map(contender => ({ contender, running: null, rounds: [], expectedRate: 0, problem: '' }))
  if (scenario.kind === 'start' || scenario.kind === 'idle') {
    await measureAlone(trial, candidates)
  } else {
    await measureTogether(trial, candidates)
  }
  return candidates.map(({ contender, rounds, problem }) => ({
    scenario: scenario.name,
    contender: contender.name,
    median: problem === '' ? medianOfRounds(rounds) : {},
    rounds,
    problem,
  }))
}

function isMeasuredDirectly(scenario: Scenario): boolean {
  return scenario.kind !== 'start' && scenario.kind !== 'idle'
}

async function measureTogether(trial: Trial, candidates: readonly Candidate[]): Promise<void> {
  const { options, scenario, group } = trial
  try {
    for (const each of candidates) {
      await attempt(each, async () => {
        each.running = await start(trial, each.contender)
        each.expectedRate = await warmUp(trial, each.running)
        resetPeak(each.running.pids)
      })
    }
    for (let round = 0; round < options.rounds; round++) {
      for (let i = 0; i < candidates.length; i++) {
        const each = candidates[(i + round) % candidates.length]!
        await attempt(each, async () => {
          const running = each.running!
          const before = await group.counters()
          const [metrics, requests] = await measureRound(trial, running, each.expectedRate, round)
          checkCounters(scenario.workload, before, await group.counters(), requests)
          each.rounds.push({ ...metrics, peakBytes: peakBytes(running.pids) })
        })
      }
    }
    await delay(options.settleSeconds * 1000)
    for (const { running, rounds } of candidates) {
      const last = rounds.at(-1)
      if (running !== null && last !== undefined) last.settledBytes = residentBytes(running.pids)
    }
  } finally {
    await Promise.all(candidates.map(each => each.running?.end()))
  }
}

/** For what a contender does once in its life: each round starts it again, with nothing else running. */
async function measureAlone(trial: Trial, candidates: readonly Candidate[]): Promise<void> {
  for (let round = 0; round < trial.options.rounds; round++) {
    for (const each of candidates) {
      await attempt(each, async () => {
        const running = await start(trial, each.contender)
        try {
          if (trial.scenario.kind === 'start') each.rounds.push({ startMs: running.startMs })
          else each.rounds.push(await measureIdle(trial, running))
        } finally {
          await running.end()
        }
      })
    }
  }
}

/** Runs a step of a candidate that has not failed yet; its failure is the candidate's, not the run's. */
async function attempt(each: Candidate, step: () => Promise<void>): Promise<void> {
  if (each.problem !== '') return
  try {
    await step()
  } catch (error) {
    each.problem = error instanceof Error ? error.message : String(error)
  }
}

/** @throws with the reason; the same at once when it was tried before. */
async function start(trial: Trial, contender: Contender): Promise<Running> {
  const { workload } = trial.scenario
  const key = `${contender.name} ${workload.protocol}`
  const reason = trial.unstartable.get(key)
  if (reason !== undefined) throw new Error(reason)
  try {
    return await startContender(trial.processes, contender, trial.group, workload)
  } catch (error) {
    trial.unstartable.set(key, error instanceof Error ? error.message : String(error))
    throw error
  }
}

/** @returns requests a second in the warm-up. */
async function warmUp(trial: Trial, running: Running): Promise<number> {
  const job = { ...loadJob(trial, running, 0), seconds: trial.options.warmupSeconds }
  const { requests, seconds } = await rightLoad(trial, job)
  const { workload, clients, kind } = trial.scenario
  if (kind !== 'connect') return requests / seconds
  const probe = await runRedisBenchmark(trial.processes, running.port, workload, clients, CONNECT_PROBE_REQUESTS, true)
  if (probe.problem !== '') throw new Error(probe.problem)
  return probe.rate
}

/** @returns the figures and the number of requests that the servers must have seen. */
async function measureRound(
  trial: Trial,
  running: Running,
  expectedRate: number,
  round: number,
): Promise<[Metrics, number]> {
  if (trial.scenario.kind !== 'load') return measureRedisBenchmark(trial, running, expectedRate)
  const load = await rightLoad(trial, loadJob(trial, running, round))
  if (load.requests === 0) throw new Error('No reply within the measured window')
  if (load.sentShare < SENT_SHARE_MIN) {
    throw new Error(`The driver sent only ${Math.round(load.sentShare * 100)} % of what was due`)
  }
  const contenderCpuUs = isDirect(running) ? load.serverCpuUs : load.contenderCpuUs
  const metrics = {
    rate: load.requests / load.seconds,
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
    p999Ms: load.p999Ms,
    cpuUs: contenderCpuUs / load.requests,
    serverCpuUs: load.serverCpuUs / load.requests,
    driverShare: load.driverCpuUs / 1e6 / load.seconds,
  }
  return [metrics, load.requestsTotal]
}

async function measureRedisBenchmark(trial: Trial, running: Running, expectedRate: number): Promise<[Metrics, number]> {
  const { processes, options, group } = trial
  const { workload, clients, kind } = trial.scenario
  const requests = Math.max(REQUESTS_MIN, Math.round(expectedRate * options.seconds))
  const before = { contender: cpuUs(running.pids), servers: cpuUs(group.pids), driver: endedChildrenCpuUs() }
  const result = await runRedisBenchmark(processes, running.port, workload, clients, requests, kind === 'connect')
  if (result.problem !== '') throw new Error(result.problem)
  const { rate, p50Ms, p99Ms, p999Ms } = result
  const serverUs = cpuUs(group.pids) - before.servers
  const contenderUs = isDirect(running) ? serverUs : cpuUs(running.pids) - before.contender
  const metrics = {
    rate,
    p50Ms,
    p99Ms,
    p999Ms,
    cpuUs: contenderUs / requests,
    serverCpuUs: serverUs / requests,
    driverShare: (endedChildrenCpuUs() - before.driver) / 1e6 / (requests / rate),
  }
  return [metrics, requests]
}

/** Memory with all clients open, less memory after an ordinary load, by the number of clients. */
async function measureIdle(trial: Trial, running: Running): Promise<Metrics> {
  const { options, processes, scenario } = trial
  const job = loadJob(trial, running, 0)
  await rightLoad(trial, { ...job, clients: ORDINARY_CLIENTS, seconds: options.warmupSeconds })
  await delay(options.settleSeconds * 1000)
  const before = residentBytes(running.pids)
  resetPeak(running.pids)
  const idle = await driveIdle(processes, job)
  await delay(options.settleSeconds * 1000)
  const settledBytes = residentBytes(running.pids)
  const problem = await idle.release()
  if (problem !== '') throw new Error(problem)
  const connectionBytes = (settledBytes - before) / scenario.clients
  return { connectionBytes, settledBytes, peakBytes: peakBytes(running.pids) }
}

async function rightLoad(trial: Trial, job: LoadJob): Promise<LoadResult> {
  const result = await driveLoad(trial.processes, job)
  if (result.problem !== '') throw new Error(result.problem)
  return result
}

function loadJob(trial: Trial, running: Running, round: number): LoadJob {
  return {
    host: '127.0.0.1',
    port: running.port,
    workload: trial.scenario.workload,
    clients: trial.scenario.clients,
    seconds: Math.max(trial.options.seconds, trial.scenario.secondsMin),
    warmupSeconds: DRIVER_WARMUP_SECONDS,
    ratePerSecond: trial.scenario.ratePerSecond,
    seed: trial.options.seed + round,
    contenderPids: running.pids,
    serverPids: trial.group.pids,
  }
}

function isDirect(running: Running): boolean {
  return running.contender.command === ''
}

/** @throws when the servers saw fewer keys than the contender was credited with. */
function checkCounters(workload: Workload, before: ServerCounters, after: ServerCounters, requests: number): void {
  const hits = after.hits - before.hits
  const writes = after.writes - before.writes
  const reads = workload.operation === 'get' || workload.operation === 'mget'
  const seen = workload.operation === 'mix' ? hits + writes : reads ? hits : writes
  const due = reads ? requests * workload.keysPerRequest : requests
  if (seen < due) throw new Error(`The servers saw ${seen} of ${due} keys that were answered`)
}
