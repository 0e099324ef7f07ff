import { existsSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { diffConfigs } from '../../../../src/config/diff.ts'
import { ListenerSet } from '../../../../src/main/clients/listener-set.ts'
import type { AcceptedClient } from '../../../../src/net/listener.ts'
import type { Config, PoolConfig } from '../../../../src/shared/config.ts'
import type { ToWorker } from '../../../../src/shared/messages.ts'
import { boundPathOf } from '../../../../src/shared/socket-path.ts'
import { listen } from '../../../support/fakes/open-server.ts'
import { configOf, listenAt, poolOf } from '../../../support/generation.ts'
import { scratchFolder } from '../../../support/processes/child.ts'
import { freePort } from '../../../support/processes/ports.ts'
import { recordingLog } from '../../../support/recording-log.ts'
import { waitUntil } from '../../../support/wait.ts'
import { Wire } from '../../../support/wire/wire.ts'

const WORKERS = 3

interface Sent {
  readonly worker: number
  readonly message: ToWorker
}

const recorded = recordingLog()
let set: ListenerSet
let sent: Sent[]
/** Pools of the clients that were taken, in order. */
let taken: number[]
/** '' = workers listen at once; a name = they fail with it; null = they do not answer. */
let answer: string | null
let absent: Set<number>
const servers: Server[] = []

function post(worker: number, message: ToWorker): boolean {
  if (absent.has(worker)) return false
  sent.push({ worker, message })
  if (message.type === 'listen' && answer !== null) {
    const code = answer
    const { pool } = message
    queueMicrotask(() => {
      if (code === '') set.onAnswer(worker, { type: 'listening', pool })
      else set.onAnswer(worker, { type: 'listen-failed', pool, code })
    })
  }
  return true
}

beforeEach(() => {
  recorded.entries.length = 0
  sent = []
  taken = []
  answer = ''
  absent = new Set()
  const onClient = (pool: number, client: AcceptedClient): void => {
    taken.push(pool)
    client.close()
  }
  set = new ListenerSet({ workers: WORKERS, post, onClient, log: recorded.log })
})

afterEach(() => {
  set.close()
  for (const server of servers.splice(0)) server.close()
})

async function tcpPool(name: string, overrides: Partial<PoolConfig> = {}): Promise<PoolConfig> {
  return poolOf(name, { listen: listenAt(`127.0.0.1:${await freePort()}`), ...overrides })
}

function pathPool(name: string, path: string): PoolConfig {
  return poolOf(name, { listen: listenAt(path) })
}

/** A connection, closed by the other side once it was taken. */
async function visit(pool: PoolConfig): Promise<void> {
  const wire = await Wire.open({ port: pool.listen.port })
  await wire.untilClosed()
}

/** All three steps, as a reload takes them; what is sent to workers meanwhile stays in `sent`. */
async function reload(before: Config, after: Config): Promise<void> {
  const { listeners } = diffConfigs(before, after)
  const prepared = await set.prepare(listeners, after)
  sent.length = 0
  set.release(listeners, after)
  sent.push({ worker: -1, message: { type: 'reopen-log' } })
  set.commit(listeners, after, prepared)
}

const said = (): string[] =>
  sent.map(({ worker, message }) => `${worker} ${message.type}${'pool' in message ? ` ${message.pool}` : ''}`)

/** Where `reload` put the moment at which workers are sent the generation. */
const SWITCH = '-1 reopen-log'

describe('at start', () => {
  test("TCP listeners are the primary's, and say which pool a client is of", async () => {
    const pools = [await tcpPool('a'), await tcpPool('b')]
    await set.openAll(configOf(...pools))
    await visit(pools[1])
    await visit(pools[0])
    expect(taken).toEqual([1, 0])
    expect(sent).toEqual([])
  })

  test('a unix path belongs to one worker, a shared port to every worker', async () => {
    const shared = await tcpPool('a', { reuseport: true })
    await set.openAll(configOf(shared, pathPool('b', join(scratchFolder(), 'b.sock'))))
    expect(said()).toEqual(['0 listen 0', '1 listen 0', '2 listen 0', '1 listen 1'])
  })

  test("a taken port gives nutcracker's line", async () => {
    const server = createServer()
    servers.push(server)
    const text = `127.0.0.1:${await listen(server)}`
    const open = set.openAll(configOf(poolOf('a', { listen: listenAt(text) })))
    await expect(open).rejects.toThrow(new RegExp(`^bind on p \\d+ to addr '${text}' failed: Address already in use$`))
  })

  test("a worker's failure gives nutcracker's line", async () => {
    // What libuv makes of a folder that is not there.
    answer = 'EACCES'
    const open = set.openAll(configOf(pathPool('a', '/no/such/folder/a.sock')))
    await expect(open).rejects.toThrow(
      "bind on p -1 to addr '/no/such/folder/a.sock' failed: No such file or directory",
    )
  })

  test('a worker that dies before it answers does not hold up the start, its successor is asked', async () => {
    answer = null
    const open = set.openAll(configOf(pathPool('a', join(scratchFolder(), 'a.sock'))))
    await waitUntil(() => sent.length === 1, 'the worker to be asked')
    set.workerGone(0)
    await open
    set.workerReady(0)
    expect(said()).toEqual(['0 listen 0', '0 listen 0'])
  })
})

describe('workers that come and go', () => {
  test('the successor of an owner is asked for what it owns, others for nothing', async () => {
    await set.openAll(configOf(await tcpPool('a'), pathPool('b', join(scratchFolder(), 'b.sock'))))
    sent.length = 0
    set.workerReady(0)
    set.workerReady(1)
    expect(said()).toEqual(['1 listen 1'])
  })

  test('what a successor cannot have is logged', async () => {
    const path = join(scratchFolder(), 'a.sock')
    await set.openAll(configOf(pathPool('a', path)))
    answer = 'EACCES'
    set.workerReady(0)
    await waitUntil(() => recorded.entries.length === 1, 'the log line')
    expect(recorded.messages()).toEqual([`bind on p -1 to addr '${path}' failed: Permission denied`])
  })
})

describe('over a reload', () => {
  test('a new address opens, one that is gone closes, one that stays serves its pool at its new place', async () => {
    const [stays, goes, comes] = [await tcpPool('stays'), await tcpPool('b'), await tcpPool('a')]
    const before = configOf(goes, stays)
    await set.openAll(before)
    await reload(before, configOf(comes, stays))
    await visit(comes)
    await visit(stays)
    expect(taken).toEqual([0, 1])
    await expect(visit(goes)).rejects.toThrow('ECONNREFUSED')
  })

  test('clients of a new address wait until its pool is there', async () => {
    const [old, added] = [await tcpPool('old'), await tcpPool('added')]
    const [before, after] = [configOf(old), configOf(added, old)]
    await set.openAll(before)
    const { listeners } = diffConfigs(before, after)
    const prepared = await set.prepare(listeners, after)
    const wire = await Wire.open({ port: added.listen.port })
    await visit(old)
    expect(taken).toEqual([0])
    set.release(listeners, after)
    set.commit(listeners, after, prepared)
    await wire.untilClosed()
    expect(taken).toEqual([0, 0])
    await visit(old)
    expect(taken).toEqual([0, 0, 1])
  })

  test('an address that cannot be had changes nothing, and what was opened before it is closed again', async () => {
    const server = createServer()
    servers.push(server)
    const taken = poolOf('taken', { listen: listenAt(`127.0.0.1:${await listen(server)}`) })
    const [old, free] = [await tcpPool('old'), await tcpPool('free')]
    await set.openAll(configOf(old))
    const after = configOf(free, taken)
    await expect(reload(configOf(old), after)).rejects.toThrow('Address already in use')
    await visit(old)
    await expect(visit(free)).rejects.toThrow('ECONNREFUSED')
  })

  test('addresses that workers are to own are tried first', async () => {
    const old = await tcpPool('old')
    await set.openAll(configOf(old))
    const server = createServer()
    servers.push(server)
    const text = `127.0.0.1:${await listen(server)}`
    const shared = poolOf('shared', { listen: listenAt(text), reuseport: true })
    await expect(reload(configOf(old), configOf(old, shared))).rejects.toThrow(
      `'${text}' failed: Address already in use`,
    )
    const nowhere = pathPool('path', '/no/such/folder/a.sock')
    await expect(reload(configOf(old), configOf(old, nowhere))).rejects.toThrow('No such file or directory')
    expect(sent).toEqual([])
  })

  test('workers let go by the old numbers before the switch and listen by the new ones after it', async () => {
    const folder = scratchFolder()
    const [a, b, c] = ['a', 'b', 'c'].map(name => pathPool(name, join(folder, name)))
    const before = configOf(a, b)
    await set.openAll(before)
    await reload(before, configOf(b, c))
    expect(said()).toEqual(['0 unlisten 0', SWITCH, '1 listen 1'])
  })

  test("a worker's listener under another pool's name is opened anew by the same worker", async () => {
    const path = join(scratchFolder(), 'a')
    const before = configOf(poolOf('x', { listen: listenAt('127.0.0.1:1'), reuseport: true }), pathPool('a', path))
    await set.openAll(before)
    await reload(before, configOf(pathPool('renamed', path)))
    expect(said().filter(line => !line.includes('unlisten 0'))).toEqual(['1 unlisten 1', SWITCH, '1 listen 0'])
  })

  test('reuseport moves a port from the primary to the workers and back', async () => {
    const pool = await tcpPool('a')
    const [alone, shared] = [configOf(pool), configOf({ ...pool, reuseport: true })]
    await set.openAll(alone)
    await reload(alone, shared)
    expect(said()).toEqual([SWITCH, '0 listen 0', '1 listen 0', '2 listen 0'])
    await expect(visit(pool)).rejects.toThrow('ECONNREFUSED')

    await reload(shared, alone)
    expect(said()).toEqual(['0 unlisten 0', '1 unlisten 0', '2 unlisten 0', SWITCH])
    await waitUntil(
      () =>
        visit(pool).then(
          () => true,
          () => false,
        ),
      'the primary to listen again',
    )
  })

  test('an address that another owner is slow to close is waited for', async () => {
    const pool = await tcpPool('a', { reuseport: true })
    const [shared, alone] = [configOf(pool), configOf({ ...pool, reuseport: false })]
    await set.openAll(shared)
    const owner = createServer()
    await new Promise<void>(resolve => owner.listen(pool.listen.port, '127.0.0.1', resolve))
    await reload(shared, alone)
    owner.close()
    await waitUntil(
      () =>
        visit(pool).then(
          () => taken.length > 0,
          () => false,
        ),
      'the primary to listen',
    )
  })

  test('a changed backlog does not close the port', async () => {
    const pool = await tcpPool('a')
    await set.openAll(configOf(pool))
    await reload(configOf(pool), configOf({ ...pool, backlog: 7 }))
    await visit(pool)
    expect(taken).toEqual([0])
  })
})

describe('at the end', () => {
  let path: string

  beforeEach(async () => {
    path = join(scratchFolder(), 'a.sock')
    // What the worker would have bound.
    writeFileSync(boundPathOf(path), '')
    await set.openAll(configOf(pathPool('a', path)))
  })

  test('a start that failed leaves the path to the process that has it', () => {
    writeFileSync(path, 'of another process')
    set.removeFiles()
    expect(readFileSync(path, 'utf8')).toBe('of another process')
    expect(existsSync(boundPathOf(path))).toBe(false)
  })

  test("unix sockets' files are removed", () => {
    set.publish()
    expect(existsSync(boundPathOf(path))).toBe(false)
    set.removeFiles()
    expect(existsSync(path)).toBe(false)
  })

  test("a successor's file stays", () => {
    set.publish()
    unlinkSync(path)
    // Takes the number that the file had.
    mkdirSync(`${path}.other`)
    writeFileSync(path, '')
    set.removeFiles()
    expect(existsSync(path)).toBe(true)
  })
})
