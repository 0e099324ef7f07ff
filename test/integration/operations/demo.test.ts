/** `npm start`, as a newcomer sees it: it answers, says how to talk to it, and leaves nothing behind however it ends. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { Child, type Exit, scratchFolder, stopAll } from '../../support/processes/child.ts'
import { withFreePorts } from '../../support/processes/ports.ts'
import { waitUntil, withTimeout } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const DEMO = fileURLToPath(new URL('../../../scripts/demo.mjs', import.meta.url))

afterAll(stopAll)

interface Demo {
  readonly child: Child
  readonly port: number
  /** Where it keeps its files. */
  readonly folder: string
  readonly redisPorts: readonly number[]
}

function spawnDemo(port: number, statsPort: number): Child {
  const env = { ...process.env, PORT: `${port}`, STATS_PORT: `${statsPort}` }
  return new Child(process.execPath, [DEMO], { folder: scratchFolder(), env })
}

function startDemo(): Promise<Demo> {
  return withFreePorts(2, async ([port, statsPort]) => {
    const child = spawnDemo(port!, statsPort!)
    await waitUntil(() => !child.alive || child.output().includes('Ctrl-C ends everything'), 'welcome', 30_000)
    const output = child.output()
    const conf = /^Configuration: (.*)$/m.exec(output)?.[1]
    if (conf === undefined) throw new Error(output)
    const redisPorts = /redis-servers on ports ([\d, ]+)/.exec(output)![1]!.split(', ').map(Number)
    return { child, port: port!, folder: dirname(conf), redisPorts }
  })
}

/** Waits for an end that nobody asked for, then removes the child's folder. */
async function ended(child: Child): Promise<Exit> {
  await withTimeout(child.exited, 'end of the demo', 20_000)
  return child.stop()
}

/** Processes whose command line holds the text. */
function processesWith(text: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text)
      } catch {
        return false
      }
    })
}

/** The proxy's command line names the folder, redis-server's title its port. */
function programsOf(demo: Demo): number[] {
  const redis = demo.redisPorts.flatMap(port => processesWith(`redis-server 127.0.0.1:${port}`))
  return [...processesWith(demo.folder), ...redis]
}

describe('the demo', () => {
  it('answers through the proxy, and ends all of it on SIGTERM', async () => {
    const demo = await startDemo()
    const wire = await Wire.open({ port: demo.port })
    wire.send(encode('MSET', 'a', '1', 'b', '2', 'c', '3'))
    wire.send(encode('MGET', 'a', 'b', 'c'))
    const replies = await wire.redisReplies(2)
    wire.destroy()
    expect(Buffer.concat(replies).toString()).toBe('+OK\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n')
    expect(programsOf(demo)).toHaveLength(4)
    const { code } = await demo.child.stop('SIGTERM')
    expect(code).toBe(0)
    expect(programsOf(demo)).toEqual([])
    expect(existsSync(demo.folder)).toBe(false)
  })

  it.each([
    [
      'a redis-server',
      (demo: Demo) => processesWith(`redis-server 127.0.0.1:${demo.redisPorts[1]}`),
      /redis-server on port \d+ ended \(SIGKILL\)/,
    ],
    ['the proxy', (demo: Demo) => processesWith(demo.folder), /pistachio ended \(SIGKILL\)/],
  ])('stops and says why when %s dies', async (_, victims, message) => {
    const demo = await startDemo()
    const [victim] = victims(demo)
    process.kill(victim!, 'SIGKILL')
    const { code } = await ended(demo.child)
    expect(code).toBe(1)
    expect(demo.child.output()).toMatch(message)
    expect(programsOf(demo)).toEqual([])
    expect(existsSync(demo.folder)).toBe(false)
  })

  it.each(['PORT', 'STATS_PORT'])('says which variable moves it away from a taken %s', async variable => {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port: taken } = server.address() as { port: number }
    await withFreePorts(1, async ([free]) => {
      const child = variable === 'PORT' ? spawnDemo(taken, free!) : spawnDemo(free!, taken)
      const { code } = await ended(child)
      expect(code).toBe(1)
      expect(child.output()).toBe(
        `Port ${taken} is taken: end the program that has it, or choose another with ${variable}=<port> npm start\n`,
      )
    })
    server.close()
  })
})
