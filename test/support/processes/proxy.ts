/**
 * Starts the proxy under test, or Debian's nutcracker behind the same interface, so that one test
 * can run against either: `TARGET=nutcracker` swaps the subject, `PISTACHIO=source` runs `src/` in
 * place of the built `dist/`.
 */

import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Address, Child, type ChildOptions, type Exit, scratchFolder } from './child.ts'
import { withFreePorts } from './ports.ts'
import type { TestServer } from './servers.ts'

export type ProxyKind = 'pistachio' | 'nutcracker'

/** What the parity suites hold against nutcracker. */
export const SUBJECT: ProxyKind = process.env.TARGET === 'nutcracker' ? 'nutcracker' : 'pistachio'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

export interface ProxyOptions {
  /** Default: `SUBJECT`. */
  readonly kind?: ProxyKind
  /**
   * The whole nutcracker.yml. `@PORT0@`, `@PORT1@` … become free ports, `@FOLDER@` the scratch
   * folder.
   */
  readonly yml: string
  /** Worker threads; nutcracker has one. */
  readonly workers?: number
  readonly flags?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
}

export interface RunningProxy {
  readonly kind: ProxyKind
  readonly pid: number
  /** `ports[n]` took the place of `@PORTn@`. */
  readonly ports: readonly number[]
  readonly statsPort: number
  readonly child: Child
  /** The log file and whatever went to stdout and stderr. */
  log(): string
  stop(signal?: NodeJS.Signals): Promise<Exit>
}

/** Starts a proxy; resolves when every `listen` address with a placeholder accepts connections. */
export function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const placeholders = [...options.yml.matchAll(/@PORT(\d+)@/g)].map(match => Number(match[1]))
  const count = Math.max(-1, ...placeholders) + 1
  return withFreePorts(count + 1, async ports => {
    const statsPort = ports[count]!
    const folder = scratchFolder()
    const yml = options.yml
      .replace(/@PORT(\d+)@/g, (_, index) => `${ports[Number(index)]}`)
      .replaceAll('@FOLDER@', folder)
    writeFileSync(join(folder, 'proxy.yml'), yml, 'latin1')
    const child = spawnProxy(options, folder, statsPort)
    for (const address of listenAddresses(yml)) await child.listening(address)
    const log = (): string => child.file('proxy.log') + child.output()
    const kind = options.kind ?? SUBJECT
    return { kind, pid: child.pid, ports, statsPort, child, log, stop: signal => child.stop(signal) }
  })
}

function spawnProxy(options: ProxyOptions, folder: string, statsPort: number): Child {
  const kind = options.kind ?? SUBJECT
  const common = ['-c', 'proxy.yml', '-a', '127.0.0.1', '-s', `${statsPort}`, '-o', 'proxy.log', '-p', 'proxy.pid']
  const flags = [...common, ...(options.flags ?? [])]
  const env = { ...process.env, ...options.env }
  if (kind === 'nutcracker') return new Child('nutcracker', flags, { folder, env })
  return pistachio([...flags, '--workers', `${options.workers ?? 1}`], { folder, env })
}

/** Our own program with any command line, for tests of how it starts and fails. */
export function pistachio(args: readonly string[], options: ChildOptions): Child {
  if (process.env.PISTACHIO !== 'source') return new Child(builtProgram(), args, options)
  return new Child(process.execPath, [join(ROOT, 'src/main/index.ts'), ...args], options)
}

function builtProgram(): string {
  const dist = join(ROOT, 'dist')
  if (!existsSync(dist) || readdirSync(dist).length === 0) throw new Error('dist/ is missing: run npm run build')
  return join(ROOT, 'bin', 'pistachio')
}

function listenAddresses(yml: string): Address[] {
  const listens = [...yml.matchAll(/^\s*listen:\s*(?:127\.0\.0\.1:(\d+)|(\/\S+))/gm)]
  return listens.map(([, port, path]) => (port === undefined ? { path: path! } : { port: Number(port) }))
}

export interface PoolText {
  readonly name?: string
  /** Default `127.0.0.1:@PORT0@`. */
  readonly listen?: string
  /** More keys as written in the file, for instance `{ hash: 'md5', redis: true }`. */
  readonly keys?: Readonly<Record<string, string | number | boolean>>
  /** Entries of `servers:`, see `serverEntry`. */
  readonly servers: readonly string[]
}

/** One pool as YAML text. */
export function poolYml(pool: PoolText): string {
  const keys = Object.entries(pool.keys ?? {}).map(([key, value]) => `  ${key}: ${value}\n`)
  const servers = pool.servers.map(server => `    - ${server}\n`)
  const listen = pool.listen ?? '127.0.0.1:@PORT0@'
  return `${pool.name ?? 'pool'}:\n  listen: ${listen}\n${keys.join('')}  servers:\n${servers.join('')}`
}

/** `127.0.0.1:port:weight name`, or the unix socket's path in place of the address. */
export function serverEntry(
  server: TestServer,
  name: string,
  options: { weight?: number; unix?: boolean } = {},
): string {
  const address = options.unix === true ? server.path : `127.0.0.1:${server.port}`
  return `${address}:${options.weight ?? 1} ${name}`
}
