/** The files of deploy/ fit together, and fit what the program understands. HAProxy itself: haproxy.test.ts. */

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../../../src/config/load.ts'
import { type Options, parseCommandLine } from '../../../src/main/command-line/cli.ts'
import type { PoolConfig } from '../../../src/shared/config.ts'
import { scratchFolder } from '../../support/processes/child.ts'

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
  const [, start] = /^ExecStart=\S+ (.*)$/m.exec(unit)!
  const [, more] = /PISTACHIO_OPTIONS=([^"]*)"/.exec(unit)!
  const options = optionsOf(start!.replace('$PISTACHIO_OPTIONS', more!).split(' '))

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
    // It looks for the programs too.
    writeFileSync(path, unit.replaceAll('/opt/pistachio/', fileURLToPath(new URL('../', DEPLOY))))
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' })
    rmSync(folder, { recursive: true })
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' })
  })

  test('reloads with the signal that reloads, once the file was checked', () => {
    const reload = [...unit.matchAll(/^ExecReload=(.*)$/gm)].map(match => match[1])
    expect(reload).toEqual([
      '/opt/pistachio/bin/pistachio -t -c /etc/pistachio/nutcracker.yml',
      '/bin/kill -USR1 $MAINPID',
    ])
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
