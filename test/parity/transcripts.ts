/** Replays measured transcripts: one exchange per fresh connection, compared with what nutcracker was seen to do. */

import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { startFakeServer } from '../support/fakes/fake-server.ts'
import { poolYml, startProxy } from '../support/processes/proxy.ts'
import { encode } from '../support/wire/resp.ts'
import { type EndOf, Wire } from '../support/wire/wire.ts'
import type { Outcome } from './departures.ts'

/** How long nothing must happen where a transcript shows an open connection without a reply. */
const QUIET_MS = 250

export interface Exchange {
  readonly name: string
  readonly request: string | null
  /** null: a reply that depends on the server's version. */
  readonly reply: string | null
  readonly closed: boolean
}

export interface ServerReply {
  readonly request?: string
  readonly server_reply: string
  readonly client_reply: string
  readonly client_closed: boolean
}

export interface Transcripts {
  readonly exchanges: readonly Exchange[]
  readonly server_replies: readonly ServerReply[]
}

export function loadTranscripts(file: string): Transcripts {
  return JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), 'utf8'))
}

/** A request that is known to be answered, and its answer: tells an open connection that is still in step. */
export interface Probe {
  readonly request: string
  readonly reply: string
  /** Finds the end of replies in the pool's protocol. */
  readonly endOf: EndOf
}

/** Sends `request` and checks the reply's bytes and whether the connection is open afterwards. */
export async function checkExchange(port: number, request: Buffer, expected: Outcome, probe: Probe): Promise<void> {
  const wire = await Wire.open({ port })
  try {
    wire.send(request)
    if (expected.closed) {
      expectReply(await wire.untilClosed(), expected.reply)
    } else if (expected.reply === '') {
      expectReply(await wire.untilQuiet(QUIET_MS), '')
      expect(wire.closed, 'closed').toBe(false)
    } else {
      await checkOpen(wire, expected.reply, { ...probe, reply: expected.probeReply ?? probe.reply })
    }
  } finally {
    wire.destroy()
  }
}

async function checkOpen(wire: Wire, reply: string | RegExp | null, probe: Probe): Promise<void> {
  if (typeof reply === 'string') {
    expectReply(await wire.take(reply.length).catch(() => wire.received), reply)
    wire.send(Buffer.from(probe.request, 'latin1'))
    expectReply(await wire.take(probe.reply.length), probe.reply)
    expectReply(wire.received, '')
    return
  }
  if (reply === null) await wire.replies(1, probe.endOf)
  else await wire.until(text => reply.test(text), `a reply like ${reply}`)
  wire.send(Buffer.from(probe.request, 'latin1'))
  expectReply(await wire.until(text => text.endsWith(probe.reply), probe.reply), probe.reply)
}

function expectReply(actual: Buffer, expected: string | RegExp | null): void {
  if (expected instanceof RegExp) expect(actual.toString('latin1')).toMatch(expected)
  else expect(actual.toString('latin1')).toBe(expected ?? '')
}

/** One pool for each of some server replies, each with one server that answers everything with it. */
export interface ReplyPools {
  /** By position of the vector. */
  readonly ports: readonly number[]
  stop(): Promise<void>
}

/** @param strict the pools have `strict: true`. */
export async function startReplyPools(
  protocol: 'redis' | 'memcache',
  vectors: readonly ServerReply[],
  strict: boolean,
): Promise<ReplyPools> {
  const servers = await Promise.all(
    vectors.map(vector => {
      const bytes = Buffer.from(vector.server_reply, 'latin1')
      return startFakeServer(protocol, () => ({ do: 'reply', bytes }))
    }),
  )
  const keys = { ...(protocol === 'redis' ? { redis: true } : {}), timeout: 400, ...(strict ? { strict: true } : {}) }
  const pools = servers.map(({ port }, index) => {
    return poolYml({
      name: `pool-${index}`,
      listen: `127.0.0.1:@PORT${index}@`,
      keys,
      servers: [`127.0.0.1:${port}:1 a`],
    })
  })
  const proxy = await startProxy({ yml: pools.join('') })
  const stop = async (): Promise<void> => {
    await proxy.stop()
    await Promise.all(servers.map(server => server.stop()))
  }
  return { ports: proxy.ports, stop }
}

/** One request to the pool whose server answers with `vector.server_reply`. */
export async function checkServerReply(port: number, vector: ServerReply, expected: Outcome): Promise<void> {
  const wire = await Wire.open({ port })
  try {
    wire.send(vector.request === undefined ? encode('GET', 'a') : Buffer.from(vector.request, 'latin1'))
    const actual = expected.closed ? await wire.untilClosed() : await wire.until(text => text.endsWith('\n'), 'a reply')
    expectReply(actual, expected.reply)
    expect(wire.closed, 'closed').toBe(expected.closed)
  } finally {
    wire.destroy()
  }
}
