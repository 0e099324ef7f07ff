/** The files of deploy/ fit together, and fit what the program understands. HAProxy itself: haproxy.test.ts. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config/load.ts'
import type { PoolConfig } from '../../src/config/types.ts'
import { type Options, parseCommandLine } from '../../src/main/cli.ts'

const DEPLOY = new URL('../../deploy/', import.meta.url)

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

  test('reloads with the signal that reloads, once the file was checked', () => {
    const reload = [...unit.matchAll(/^ExecReload=(.*)$/gm)].map(match => match[1])
    expect(reload).toEqual([
      '/opt/pistachio/bin/pistachio -t -c /etc/pistachio/nutcracker.yml',
      '/bin/kill -USR1 $MAINPID',
    ])
  })
})

describe('the compose file', () => {
  const { services } = parse(read('compose/compose.yml'), { merge: true })

  test('starts proxies that it stops only after their drain', () => {
    for (const name of ['pistachio-1', 'pistachio-2']) {
      const { command, stop_grace_period } = services[name]
      const options = optionsOf(command)
      expect(Number.parseInt(stop_grace_period, 10) * 1_000).toBeGreaterThan(options.drainTimeoutMs + 5_000)
      expect(`${options.agentCheckPort}`).toBe(variables.get('AGENT_PORT_1'))
    }
  })

  test('tells HAProxy where the proxies are, in the words of its configuration', () => {
    const { environment } = services.haproxy
    for (const name of Object.keys(environment)) expect([...variables.keys()]).toContain(name)
    for (const i of [1, 2]) {
      expect(environment[`PISTACHIO_${i}`]).toBe(services[`pistachio-${i}`].networks.proxies.ipv4_address)
    }
  })

  test('has every server that the pools name', async () => {
    const servers = (await poolsOf('compose/pistachio/nutcracker.yml')).flatMap(pool => pool.servers)
    for (const { host } of servers) expect(Object.keys(services)).toContain(host)
  })
})
