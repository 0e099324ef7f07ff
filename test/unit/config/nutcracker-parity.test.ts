/** Random configurations, good and bad, to Debian's nutcracker and to us: the same verdict, the same log lines. */

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { loadConfig, testConfigReport } from '../../../src/config/load.ts'
import { runSeed } from '../../support/random.ts'

const NUTCRACKER = ['/usr/sbin/nutcracker', '/usr/bin/nutcracker', '/usr/local/sbin/nutcracker'].find(existsSync)
const seed = runSeed()

/** Values for each key: many that are right, some that are wrong, all of them seen in the wild or next to it. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  listen: [
    '127.0.0.1:1',
    '127.0.0.1:2',
    '::1:3',
    '0:4',
    '/tmp/a.sock',
    '/tmp/b.sock 0644',
    '/tmp/c.sock 1777',
    '127.0.0.1',
    '127.0.0.1:x',
    '"127.0.0.1:5"',
  ],
  hash: ['md5', 'murmur', 'fnv1a_64', 'MD5', 'sha1'],
  hash_tag: ['"{}"', "'$$'", 'ab', '{}', '"{"', 'é'],
  distribution: ['ketama', 'modula', 'random', 'slots'],
  timeout: ['400', '0', '"1"', '-1', '4294967297', '2147483648', '', '1 # ms'],
  backlog: ['1024', '1k'],
  client_connections: ['5', '0'],
  redis: ['true', 'true', 'true', 'false', 'yes', '"true"'],
  redis_auth: ['foobar', '12345', '""', 'a b'],
  redis_db: ['0', '15', 'x'],
  preconnect: ['true', 'false', '1'],
  auto_eject_hosts: ['true', 'false', 'True'],
  server_connections: ['1', '2', '0'],
  server_retry_timeout: ['2000', '30000', '2s'],
  server_failure_limit: ['1', '0', '3'],
  tcpkeepalive: ['true', 'false'],
  timeot: ['1'],
}

const SERVERS = [
  '127.0.0.1:6379:1',
  '127.0.0.1:6380:1',
  '127.0.0.1:11211:1',
  '127.0.0.1:6379:1 one',
  '127.0.0.1:6380:2 two',
  '/tmp/r.sock:1',
  '/tmp/r.sock:1 three',
  '::1:6379:1',
  'host.example:1:1',
  '127.0.0.1:6379',
  '127.0.0.1:6379:0',
  '127.0.0.1:0:1',
  '127.0.0.1:6379:1  x',
  '"127.0.0.1:6379:1 "',
  '',
] as const

const setting = fc
  .constantFrom(...Object.keys(VALUES).filter(key => key !== 'listen'))
  .chain(key => fc.constantFrom(...VALUES[key]!).map(value => `${key}: ${value}`))

const pool = fc
  .record({
    name: fc.constantFrom('alpha', 'beta', 'gamma', 'delta', '"a b"', 'ä'),
    listen: fc.option(fc.constantFrom(...VALUES.listen!), { freq: 20 }),
    settings: fc.array(setting, { maxLength: 5 }),
    servers: fc.uniqueArray(fc.constantFrom(...SERVERS), { minLength: 1, maxLength: 4 }),
    serversFirst: fc.boolean(),
  })
  .map(({ name, listen, settings, servers, serversFirst }) => {
    const scalars = [...(listen === null ? [] : [`listen: ${listen}`]), ...settings].map(line => `  ${line}\n`).join('')
    const list = `  servers:\n${servers.map(server => `   - ${server}\n`).join('')}`
    return `${name}:\n${serversFirst ? list + scalars : scalars + list}`
  })

function run(args: readonly string[]): Promise<{ code: number; stderr: string }> {
  return new Promise(resolve => {
    execFile(NUTCRACKER!, args, { timeout: 10_000 }, (error, _stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stderr })
    })
  })
}

/** What nutcracker logs about a file that `-t` refused; with such a file it ends at once. */
async function logOf(file: string, directory: string): Promise<readonly string[]> {
  const log = join(directory, 'log')
  await run(['-c', file, '-o', log, '-p', join(directory, 'pid')])
  const lines = (await readFile(log, 'utf8')).split('\n')
  await rm(log)
  return lines.filter(line => / nc_\w+\.c:/.test(line)).map(line => line.replace(/^\[[^\]]*\] \S+ /, ''))
}

it.runIf(NUTCRACKER !== undefined)('agrees with nutcracker on random configurations', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'pistachio-parity-'))
  const file = join(directory, 'nutcracker.yml')
  try {
    const property = fc.asyncProperty(fc.array(pool, { minLength: 1, maxLength: 3 }), async pools => {
      await writeFile(file, pools.join(''))
      const theirs = await run(['-t', '-c', file])
      const result = await loadConfig(file)
      const ours = testConfigReport(result, file)
      expect(ours.exitCode).toBe(theirs.code)
      expect(ours.stderr.endsWith(theirs.stderr)).toBe(true)
      if (!result.ok) expect(result.lines).toEqual(await logOf(file, directory))
    })
    await fc.assert(property, { seed, numRuns: 250 })
  } finally {
    await rm(directory, { recursive: true })
  }
})
