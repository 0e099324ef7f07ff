/** The proxy itself is in trouble, or changes, while clients work: a worker dies, the file is read again, another process takes over. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, expect } from 'vitest'
import { stopAll } from '../support/processes/child.ts'
import { CRASH_HOOK, crashFile } from '../support/processes/crash-hook.ts'
import { freePort } from '../support/processes/ports.ts'
import { poolYml, startProxy } from '../support/processes/proxy.ts'
import { Random } from '../support/random.ts'
import { waitUntil } from '../support/wait.ts'
import type { Field } from './field.ts'
import { scenario } from './scenario.ts'
import { SEED } from './settings.ts'

afterAll(stopAll)

function countIn(log: string, what: string): number {
  return log.split(what).length - 1
}

const CRASH = { failures: false, closes: true, env: CRASH_HOOK }

scenario('a worker dies', CRASH, async (field, ms) => {
  const { ledger, proxy, actors } = field
  ledger.freshMayClose = true
  const closesBefore = ledger.closes
  const before = countIn(proxy.log(), 'is running again')
  const worker = new Random(SEED).fork(before).below(2)
  writeFileSync(join(proxy.child.folder, crashFile(worker)), '')
  await waitUntil(() => countIn(proxy.log(), 'is running again') > before, 'the next worker')
  await delay(ms)
  // At first the clients are spread evenly. Later they may all be with the worker that was there while the other was replaced.
  if (before > 0) return
  const lost = ledger.closes - closesBefore
  expect(lost).toBeGreaterThan(0)
  expect(lost).toBeLessThan(actors.length)
})

/** The field's file with other settings, and with a second pool now and then. */
function changed(field: Field, round: number, otherPort: number): string {
  const port = field.proxy.ports[0]!
  const settings = [`timeout: ${20_000 + round}`, `client_max_pending: ${1_000 + round}`, `server_connections: 1`]
  const first = field.yml.replace('@PORT0@', `${port}`).replace(/timeout: \d+/, settings.join('\n  '))
  if (round % 2 === 0) return first
  const servers = field.servers.map(server => `127.0.0.1:${server.port}:1 ${server.name}`)
  return first + poolYml({ name: 'other', listen: `127.0.0.1:${otherPort}`, keys: { redis: true }, servers })
}

scenario('the file is read again and again', { failures: false }, async (field, ms) => {
  const { proxy } = field
  const deadlineMs = performance.now() + ms
  const otherPort = await freePort()
  for (let round = 0; round < 2 || performance.now() < deadlineMs; round++) {
    const before = proxy.log().length
    writeFileSync(join(proxy.child.folder, 'proxy.yml'), changed(field, round, otherPort))
    proxy.child.signal('SIGUSR1')
    await waitUntil(() => proxy.log().slice(before).includes('reload: '), 'the reload')
    expect(proxy.log().slice(before)).not.toContain('nothing has changed')
    await delay(50)
  }
})

const FLAGS = ['--drain-timeout', '1500']
const RESTART = { failures: false, closes: true, pool: { reuseport: true }, flags: FLAGS }

scenario('another process takes the port over, the first one ends', RESTART, async (field, ms) => {
  const old = field.proxy
  const yml = field.yml.replace('@PORT0@', `${old.ports[0]}`)
  const next = await startProxy({ kind: 'pistachio', yml, workers: 2, flags: FLAGS })
  await waitUntil(() => next.log().includes("in redis pool 0 'pool'"), 'the next process to listen')
  old.child.signal('SIGTERM')
  expect(await old.child.exited).toEqual({ code: 0, signal: null })
  expect(old.log()).not.toContain('are disconnected')
  field.proxy = { ...next, ports: old.ports }
  await delay(ms)
})
