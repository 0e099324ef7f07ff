/** Listeners that a worker owns: whom they take when they close, and how a path changes hands. */

import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Acceptor } from '../../../../src/worker/client/acceptor.ts'
import { listenAt } from '../../../support/generation.ts'
import { scratchFolder } from '../../../support/processes/child.ts'
import { freePort } from '../../../support/processes/ports.ts'
import { encode } from '../../../support/wire/resp.ts'
import { Wire } from '../../../support/wire/wire.ts'
import { Harness } from '../../../support/worker/harness.ts'

const PING = encode('PING')

let harness: Harness
let acceptors: Acceptor[]
let folder: string

beforeEach(async () => {
  harness = await Harness.start()
  acceptors = []
  folder = scratchFolder()
})
afterEach(async () => {
  for (const acceptor of acceptors) await closed(acceptor)
  await harness.stop()
  rmSync(folder, { recursive: true, force: true })
})

function newAcceptor(): Acceptor {
  const acceptor = new Acceptor(harness.context, name => harness.context.findPool(name))
  acceptors.push(acceptor)
  return acceptor
}

function closed(acceptor: Acceptor): Promise<void> {
  return new Promise(resolve => acceptor.close(resolve))
}

/** @param text the address. @param permission of a path. */
function listen(acceptor: Acceptor, text: string, permission = 0, hidden = false): number {
  harness.reload({ listen: { ...listenAt(text), permission }, reuseport: true })
  return acceptor.listen(harness.pool, hidden)
}

async function serves(path: string): Promise<void> {
  const wire = await Wire.open({ path })
  wire.send(PING)
  expect(String(await wire.redisReplies(1))).toBe('+PONG\r\n')
  wire.destroy()
}

test('whom the kernel has connected when it is told to close is served', async () => {
  const acceptor = newAcceptor()
  const port = await freePort()
  expect(listen(acceptor, `127.0.0.1:${port}`)).toBe(0)
  // Connected while this loop has no turn: they are all in the kernel's queue.
  const clients = Array.from({ length: 20 }, () => connect(port, '127.0.0.1'))
  await new Promise(resolve => clients.at(-1)!.once('connect', resolve))
  const replies = Promise.all(clients.map(pong))
  await closed(acceptor)
  await replies
  await expect(Wire.open({ port })).rejects.toThrow('ECONNREFUSED')
  for (const client of clients) client.destroy()
})

function pong(client: Socket): Promise<void> {
  client.write(PING)
  return new Promise((resolve, reject) => {
    client.once('data', data => (String(data) === '+PONG\r\n' ? resolve() : reject(new Error(String(data)))))
    client.once('error', reject)
  })
}

describe('a path', () => {
  test('goes to the one who listened last, without a moment in which nobody answers', async () => {
    const path = join(folder, 'p.sock')
    const predecessor = newAcceptor()
    expect(listen(predecessor, path)).toBe(0)
    const inode = statSync(path).ino
    const waiting = connect(path)
    const successor = newAcceptor()
    expect(listen(successor, path)).toBe(0)
    expect(statSync(path).ino).not.toBe(inode)
    await pong(waiting)
    waiting.destroy()
    await closed(predecessor)
    await serves(path)
  })

  test('can be listened on again at once', async () => {
    const path = join(folder, 'p.sock')
    const acceptor = newAcceptor()
    for (const permission of [0, 0o600]) {
      acceptor.unlisten(path)
      expect(listen(acceptor, path, permission)).toBe(0)
      await serves(path)
    }
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test('may be as long as the system allows', async () => {
    const path = join(folder, 'x'.repeat(107 - folder.length - 1))
    const acceptor = newAcceptor()
    for (let i = 0; i < 2; i++) {
      acceptor.unlisten(path)
      expect(listen(acceptor, path)).toBe(0)
      await serves(path)
    }
  })

  test('takes the place of a file, but not of a folder; nothing else is left behind', async () => {
    const path = join(folder, 'p.sock')
    writeFileSync(path, 'in the way')
    expect(listen(newAcceptor(), path)).toBe(0)
    await serves(path)
    const other = join(folder, 'folder')
    mkdirSync(other)
    expect(listen(newAcceptor(), other)).toBeLessThan(0)
    expect(listen(newAcceptor(), join(folder, 'none', 'p.sock'))).toBeLessThan(0)
    expect(existsSync(`${path}~${process.pid}`) || existsSync(`${other}~${process.pid}`)).toBe(false)
  })
})
