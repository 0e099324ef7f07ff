import { connect, createServer } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { AcceptedClient, Listener, ListenFailure } from '../../../src/net/listener.ts'
import { listen } from '../../support/fakes/open-server.ts'
import { waitUntil } from '../../support/wait.ts'
import { Wire } from '../../support/wire/wire.ts'

const cleanups: (() => unknown)[] = []

afterEach(async () => {
  vi.unstubAllEnvs()
  vi.resetModules()
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** The module as it is where Node's raw handles are at hand, or where they are not. */
function load(sockets: string) {
  vi.stubEnv('PISTACHIO_SOCKETS', sockets)
  return import('../../../src/net/listener.ts')
}

describe.each([
  ['raw handles', ''],
  ['public sockets', 'stream'],
])('over %s', (_, sockets) => {
  async function open(
    port = 0,
    onClient: (client: AcceptedClient) => void = client => client.close(),
  ): Promise<Listener> {
    const { openListener } = await load(sockets)
    const onError = (code: string): never => expect.fail(code)
    const listener = await openListener({
      address: '127.0.0.1',
      port,
      backlog: 16,
      reuseport: false,
      onClient,
      onError,
    })
    cleanups.push(() => listener.close())
    return listener
  }

  test('an accepted client is a handle that serves as a socket', async () => {
    const { socketOf } = await load(sockets)
    const listener = await open(0, client => {
      expect(client.fd).toBeGreaterThan(2)
      const socket = socketOf(client)
      socket.end('hello')
    })
    const wire = await Wire.open({ port: listener.port })
    expect((await wire.untilClosed()).toString()).toBe('hello')
  })

  test('a closed client sees the end of its connection', async () => {
    const listener = await open()
    const wire = await Wire.open({ port: listener.port })
    expect(await wire.untilClosed()).toHaveLength(0)
  })

  test('connections that the kernel completed before a quiet close are accepted', async () => {
    const taken: AcceptedClient[] = []
    const listener = await open(0, client => taken.push(client))
    // Connected by the kernel while this loop has no turn: they are all in its queue.
    const wires = Array.from({ length: 12 }, () => connect(listener.port, '127.0.0.1').on('error', expect.fail))
    await new Promise(resolve => wires.at(-1)!.once('connect', resolve))
    await listener.closeWhenQuiet()
    expect(taken).toHaveLength(12)
    for (const client of taken) client.close()
    for (const wire of wires) wire.destroy()
    await expect(Wire.open({ port: listener.port })).rejects.toThrow('ECONNREFUSED')
  })

  test('a closed listener refuses, and closing it twice does no harm', async () => {
    const listener = await open()
    listener.close()
    listener.close()
    await expect(Wire.open({ port: listener.port })).rejects.toThrow('ECONNREFUSED')
  })

  test('the backlog can be changed', async () => {
    const listener = await open()
    listener.setBacklog(4)
    const wire = await Wire.open({ port: listener.port })
    await wire.untilClosed()
  })

  test('a taken port fails at bind, with the name of the error', async () => {
    const server = createServer()
    const port = await listen(server)
    cleanups.push(() => server.close())
    const failure = await open(port).catch((error: ListenFailure) => error)
    expect(failure).toMatchObject({ code: 'EADDRINUSE', step: 'bind', message: 'Address already in use' })
  })

  test('an address of another machine fails at bind', async () => {
    const { openListener } = await load(sockets)
    const options = { port: 0, backlog: 1, reuseport: false, onClient: () => {}, onError: () => {} }
    await expect(openListener({ ...options, address: '192.0.2.1' })).rejects.toMatchObject({
      code: 'EADDRNOTAVAIL',
      step: 'bind',
      message: 'Cannot assign requested address',
    })
  })

  test('two listeners share an address when both ask for it', async () => {
    const { openListener } = await load(sockets)
    const options = { address: '127.0.0.1', backlog: 16, reuseport: true, onError: () => {} }
    let accepted = 0
    const onClient = (client: AcceptedClient): void => {
      accepted++
      client.close()
    }
    const first = await openListener({ ...options, port: 0, onClient })
    const second = await openListener({ ...options, port: first.port, onClient })
    cleanups.push(
      () => first.close(),
      () => second.close(),
    )
    await (await Wire.open({ port: first.port })).untilClosed()
    expect(accepted).toBe(1)
  })

  test('it listens on IPv6 addresses', async () => {
    const { openListener } = await load(sockets)
    let accepted = false
    const onClient = (client: AcceptedClient): void => {
      accepted = true
      client.close()
    }
    const listener = await openListener({
      address: '::1',
      port: 0,
      backlog: 1,
      reuseport: false,
      onClient,
      onError: () => {},
    })
    cleanups.push(() => listener.close())
    const { connect } = await import('node:net')
    const socket = connect(listener.port, '::1')
    socket.on('error', () => {})
    await waitUntil(() => accepted, 'the client to be accepted')
    socket.destroy()
  })
})
