/** The worker's path over `net.Socket`: the tests of clients and servers once more, with the transport that has no raw handles. */

import { describe, vi } from 'vitest'

vi.hoisted(() => {
  process.env.PISTACHIO_SOCKETS = 'stream'
})

describe('client', async () => void (await import('./client/client.test.ts')))
describe('server connection', async () => void (await import('./server/server-connection.test.ts')))
describe('fragment', async () => void (await import('./request/split-request.test.ts')))
describe('upload', async () => void (await import('./client/upload.test.ts')))
describe('pool', async () => void (await import('./server/pool.test.ts')))
