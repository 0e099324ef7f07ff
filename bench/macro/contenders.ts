/**
 * Who is measured: the servers directly, Debian's nutcracker, pistachio with one worker and with one a core, and any
 * other proxy named on the command line. All proxies get the same nutcracker.yml over the same servers. Called by
 * `measure.ts`.
 */

import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { processTree } from './accounting.ts'
import { type Child, freePort, type Processes } from './processes.ts'
import { awaitReply } from './readiness.ts'
import type { ServerGroup } from './servers.ts'
import { buildBatches, type Workload } from './workload.ts'

const PISTACHIO = fileURLToPath(new URL('../../bin/pistachio', import.meta.url))

export interface Contender {
  readonly name: string
  /** Shell command with `{conf}`, `{port}`, `{stats}`, `{servers}`, `{dir}` in it; '' for the servers themselves. */
  readonly command: string
  /** Adds `reuseport: true` to the pool. */
  readonly reuseport: boolean
}

/** A contender that answers. */
export interface Running {
  readonly contender: Contender
  readonly port: number
  /** The process and its children; for `direct` the first server. */
  readonly pids: readonly number[]
  /** From the start of the process to its first right reply; NaN for `direct`. */
  readonly startMs: number
  end(): Promise<void>
}

const COMMON_ARGUMENTS = '-c {conf} -s {stats} -a 127.0.0.1 -o {dir}/log -p {dir}/pid'

/** All that the program knows by name. The first four are measured unless others are chosen. */
export const CONTENDERS: readonly Contender[] = [
  { name: 'direct', command: '', reuseport: false },
  { name: 'nutcracker', command: `nutcracker ${COMMON_ARGUMENTS}`, reuseport: false },
  pistachio('pistachio-1', 1, false),
  pistachio('pistachio-N', availableParallelism(), false),
  pistachio('pistachio-1-reuseport', 1, true),
  pistachio('pistachio-N-reuseport', availableParallelism(), true),
]

/** Names of those measured without any choice, in the full and in the short form. */
export const DEFAULT_CONTENDERS: readonly string[] = ['direct', 'nutcracker', 'pistachio-1', 'pistachio-N']
export const SHORT_CONTENDERS: readonly string[] = ['direct', 'nutcracker', 'pistachio-1']

/** Parses `name=command {conf} {port}`. @throws when it has not that form. */
export function contenderFromArgument(argument: string): Contender {
  const at = argument.indexOf('=')
  if (at < 1 || !/\{(?:conf|port)\}/.test(argument.slice(at))) {
    throw new Error(`--contender wants name=command with {conf} or {port} in the command, not "${argument}"`)
  }
  return { name: argument.slice(0, at), command: argument.slice(at + 1), reuseport: false }
}

/** The configuration file that every proxy is given. */
export function configText(port: number, servers: ServerGroup, reuseport: boolean): string {
  const lines = [
    'bench:',
    `  listen: 127.0.0.1:${port}`,
    '  hash: fnv1a_64',
    '  distribution: ketama',
    '  backlog: 1024',
    `  redis: ${servers.protocol === 'redis'}`,
    ...(reuseport ? ['  reuseport: true'] : []),
    '  servers:',
    ...servers.ports.map((serverPort, i) => `   - 127.0.0.1:${serverPort}:1 server${i + 1}`),
  ]
  return `${lines.join('\n')}\n`
}

/** Starts a contender and waits for its first right reply. @throws with the reason when there is none. */
export async function startContender(
  processes: Processes,
  contender: Contender,
  servers: ServerGroup,
  workload: Workload,
): Promise<Running> {
  if (contender.command === '') {
    const end = async (): Promise<void> => {}
    return { contender, port: servers.ports[0]!, pids: [servers.pids[0]!], startMs: Number.NaN, end }
  }
  const dir = processes.scratchFolder()
  const port = await freePort()
  const conf = join(dir, 'nutcracker.yml')
  writeFileSync(conf, configText(port, servers, contender.reuseport))
  const command = fillTemplate(contender.command, {
    conf,
    dir,
    port: String(port),
    stats: String(await freePort()),
    servers: servers.ports.map(serverPort => `127.0.0.1:${serverPort}`).join(','),
  })
  const child = processes.start(contender.name, '/bin/sh', ['-c', `exec ${command}`])
  try {
    const startMs = await firstReply(child, port, workload)
    return { contender, port, pids: processTree(child.pid), startMs, end: () => child.end() }
  } catch (error) {
    await child.end()
    throw error
  }
}

function firstReply(child: Child, port: number, workload: Workload): Promise<number> {
  const [batch] = buildBatches({ ...workload, operation: 'get', keysPerRequest: 1, pipeline: 1 }, 1)
  return awaitReply(child, port, batch!.request, batch!.reply)
}

function pistachio(name: string, workers: number, reuseport: boolean): Contender {
  return { name, command: `${PISTACHIO} ${COMMON_ARGUMENTS} --workers ${workers}`, reuseport }
}

function fillTemplate(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole)
}
