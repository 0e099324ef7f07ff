/** The files of deploy/ fit together, and fit what the program understands. HAProxy itself: haproxy.test.ts. */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../../../src/config/load.ts'
import { type Options, parseCommandLine } from '../../../src/main/command-line/cli.ts'
import type { PoolConfig } from '../../../src/shared/config.ts'
import { scratchFolder, stopAll } from '../../support/processes/child.ts'
import { poolYml, startProxy } from '../../support/processes/proxy.ts'

afterAll(stopAll)

const DEPLOY = new URL('../../../deploy/', import.meta.url)

function read(file: string): string {
  return readFileSync(new URL(file, DEPLOY), 'utf8')
}

async function poolsOf(file: string): Promise<readonly PoolConfig[]> {
  const result = await loadConfig(fileURLToPath(new URL(file, DEPLOY)))
  if (!result.ok) throw new Error(result.lines.join('\n'))
  return result.config.pools
}

function optionsOf(args: readonly string[]): Options {
  const commandLine = parseCommandLine(args)
  if (commandLine.kind === 'exit') throw new Error(commandLine.text)
  return commandLine.options
}

/** As far as the file uses the format. */
interface ComposeService {
  readonly image?: string
  readonly build?: string
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly stop_grace_period: string
  readonly healthcheck?: object
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly networks: readonly string[] | Readonly<Record<string, { readonly ipv4_address: string }>>
  readonly volumes?: readonly string[]
  readonly ports?: readonly string[]
}

interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly networks: Readonly<Record<string, unknown>>
}

function namesOf(networks: ComposeService['networks']): readonly string[] {
  return Array.isArray(networks) ? networks : Object.keys(networks)
}

function addressOf({ networks }: ComposeService): string | undefined {
  return 'proxies' in networks ? networks.proxies?.ipv4_address : undefined
}

const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0

/** `${NAME-value}` in HAProxy's configuration. */
const variables = new Map(
  [...read('haproxy/haproxy.cfg').matchAll(/\$\{(\w+)-([^}]*)\}/g)].map(match => [match[1], match[2]]),
)

describe.each(['haproxy/nutcracker.yml', 'compose/pistachio/nutcracker.yml'])('%s', file => {
  test('is valid, and has its pools where HAProxy looks for them, with the header that it sends', async () => {
    for (const { name, listen, proxyProtocol } of await poolsOf(file)) {
      const variable = `${name.toUpperCase().replace('-', '_')}_PORT_1`
      expect(`${listen.port}`, name).toBe(variables.get(variable))
      expect(proxyProtocol, name).toBe(true)
    }
  })
})

describe('the systemd unit', () => {
  const unit = read('systemd/pistachio.service')
  const variable = (name: string): string => new RegExp(`${name}=([^"]*)"`).exec(unit)![1]!
  const [, start] = /^ExecStart=\/usr\/sbin\/pistachio (.*)$/m.exec(unit)!
  const commandLine = start!.replace(/\$(PISTACHIO_\w+)/g, (_, name) => variable(name))
  const options = optionsOf(commandLine.split(' '))

  test('gives the drain its time before it kills', () => {
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1]) * 1_000).toBeGreaterThan(options.drainTimeoutMs + 5_000)
  })

  test('has the agent where HAProxy asks, and drains longer than HAProxy takes to hear of it', () => {
    expect(`${options.agentCheckPort}`).toBe(variables.get('AGENT_PORT_1'))
    expect(options.drainDelayMs).toBeGreaterThan(1_000)
    expect(options.drainTimeoutMs).toBeGreaterThan(options.drainDelayMs)
  })

  test.runIf(hasSystemd)('is what systemd understands', () => {
    const folder = scratchFolder()
    const path = join(folder, 'pistachio.service')
    // It looks for the programs and for the manual page too, which are here where the package is installed.
    const programs = unit.replace('/usr/sbin/pistachio', '/bin/true').replace('/usr/lib/pistachio/reload', '/bin/true')
    writeFileSync(path, programs.replace('man:pistachio(8)', 'man:true(1)'))
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' })
    rmSync(folder, { recursive: true })
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' })
  })

  test('knows its process by the pid file that the program writes', () => {
    expect(options.daemonize).toBe(true)
    expect(/^PIDFile=(.*)$/m.exec(unit)![1]).toBe(options.pidFile)
    expect(/^ReadWritePaths=(.*)$/m.exec(unit)![1]).toBe(dirname(options.logFile))
    expect(read('debian/logrotate')).toContain(options.logFile)
    expect(read('debian/logrotate')).toContain(options.pidFile)
  })
})

describe('the Debian package', () => {
  test('brings a configuration that is valid, and whose upgrade costs no connection', async () => {
    const pools = await poolsOf('debian/nutcracker.yml')
    expect(pools.map(pool => pool.reuseport)).toEqual([true])
  })

  test('has shell scripts that a shell can read', () => {
    for (const script of ['debian/postinst', 'debian/prerm', 'debian/postrm', 'systemd/reload']) {
      const { status, stderr } = spawnSync('sh', ['-n', fileURLToPath(new URL(script, DEPLOY))], { encoding: 'utf8' })
      expect({ script, status, stderr }).toEqual({ script, status: 0, stderr: '' })
    }
  })

  test('has a manual page with every option', () => {
    const page = read('man/pistachio.8').replaceAll('\\-', '-')
    const help = parseCommandLine(['-h'])
    const long = help.kind === 'exit' ? [...help.text.matchAll(/--[a-z][a-z-]+/g)].map(match => match[0]) : []
    expect(long.length).toBeGreaterThan(15)
    for (const option of long) expect(page).toContain(option)
  })
})

describe('the Dockerfile', () => {
  const dockerfile = read('../Dockerfile')
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(match => match[1]!.split(' '))

  test('copies what is there and what reaches the build', () => {
    const ignored = read('../.dockerignore').split('\n')
    expect(ignored).toContain('*')
    for (const source of copied) {
      expect(existsSync(new URL(`../${source}`, DEPLOY)), source).toBe(true)
      expect(ignored, source).toContain(`!${source}`)
    }
    expect(copied).toEqual(expect.arrayContaining(['package.json', 'package-lock.json', 'scripts', 'src']))
  })

  test('takes out of the first stage only what the packager writes', () => {
    const taken = [...dockerfile.matchAll(/^COPY --from=build (\S+) /gm)].map(match => match[1])
    const [, made] = /^RUN node scripts\/package-binary\.mjs (\S+)$/m.exec(dockerfile)!
    expect(taken).toEqual([made, `${made}.licences.txt`])
  })

  test('starts with a command line that the program takes', () => {
    expect(JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)![1]!)).toEqual(['pistachio'])
    expect(optionsOf(JSON.parse(/^CMD (.*)$/m.exec(dockerfile)![1]!)).daemonize).toBe(false)
  })

  test('knows whether the proxy is healthy', async () => {
    const [command, ...args] = JSON.parse(/^HEALTHCHECK .*\\\n {2}CMD (.*)$/m.exec(dockerfile)![1]!)
    const proxy = await startProxy({ yml: poolYml({ servers: ['127.0.0.1:1:1'] }) })
    const check = (): number | null =>
      spawnSync(command, args, { env: { PATH: process.env.PATH, STATS_PORT: `${proxy.statsPort}` }, timeout: 10_000 })
        .status
    expect(check()).toBe(0)
    await proxy.stop()
    expect(check()).not.toBe(0)
  })
})

describe('the compose file', () => {
  const { services, networks } = parse(read('compose/compose.yml'), { merge: true }) as ComposeFile

  test('names only what is there: services to wait for and how to know, networks, files', () => {
    for (const [name, service] of Object.entries(services)) {
      expect([name, typeof (service.image ?? service.build)]).toEqual([name, 'string'])
      for (const network of namesOf(service.networks)) expect(Object.keys(networks), name).toContain(network)
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect([other, condition]).toEqual([other, 'service_healthy'])
        // The image of the proxies itself says how they are.
        const healthy =
          services[other]!.healthcheck ?? (services[other]!.build && /^HEALTHCHECK /m.exec(read('../Dockerfile')))
        expect(healthy, `${other}'s health`).toBeTruthy()
      }
      for (const volume of service.volumes ?? []) {
        const [, source, target] = /^(\.[^:]*):(\/[^:]+):ro$/.exec(volume)!
        expect(existsSync(new URL(`compose/${source}`, DEPLOY)), `${source} for ${target}`).toBe(true)
      }
      for (const port of service.ports ?? []) expect(port).toMatch(/^\d+:\d+$/)
    }
  })

  test('has the keys of the format, in each service', () => {
    const known =
      'build command depends_on environment healthcheck image networks ports restart stop_grace_period ulimits volumes'
    for (const service of Object.values(services)) {
      for (const key of Object.keys(service)) expect(known.split(' ')).toContain(key)
    }
    const top = Object.keys(parse(read('compose/compose.yml'), { merge: true }))
    expect(top.filter(key => !key.startsWith('x-'))).toEqual(['services', 'networks'])
  })

  test('starts proxies that it stops only after their drain', () => {
    for (const name of ['pistachio-1', 'pistachio-2']) {
      const { command, stop_grace_period } = services[name]!
      const options = optionsOf(command)
      expect(Number.parseInt(stop_grace_period, 10) * 1_000).toBeGreaterThan(options.drainTimeoutMs + 5_000)
      expect(`${options.agentCheckPort}`).toBe(variables.get('AGENT_PORT_1'))
    }
  })

  test('tells HAProxy where the proxies are, in the words of its configuration', () => {
    const { environment } = services.haproxy!
    for (const name of Object.keys(environment)) expect([...variables.keys()]).toContain(name)
    for (const i of [1, 2]) {
      expect(environment[`PISTACHIO_${i}`]).toBe(addressOf(services[`pistachio-${i}`]!))
    }
  })

  test('has every server that the pools name', async () => {
    const servers = (await poolsOf('compose/pistachio/nutcracker.yml')).flatMap(pool => pool.servers)
    for (const { host } of servers) expect(Object.keys(services)).toContain(host)
  })
})
