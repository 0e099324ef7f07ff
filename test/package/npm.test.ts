/** The package that `npm pack` makes, installed globally where npm puts such things: it serves with a new Node and says so with an old one. */

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Child, scratchFolder, stopAll } from '../support/processes/child.ts'
import { freePort } from '../support/processes/ports.ts'
import { poolYml, serverEntry } from '../support/processes/proxy.ts'
import { startRedis } from '../support/processes/servers.ts'
import { encode } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const SETUP_TIMEOUT_MS = 240_000
const SYSTEM_PATH = '/usr/bin:/bin'

const folder = scratchFolder()
const prefix = join(folder, 'prefix')

beforeAll(() => {
  // dist is built; the scripts of the package would build it under the feet of other tests.
  const npm = (...args: string[]): string =>
    execFileSync('npm', args, { cwd: PROJECT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const name = npm('pack', '--ignore-scripts', '--pack-destination', folder).trim().split('\n').at(-1)!
  npm('install', '--global', '--prefix', prefix, '--no-audit', '--no-fund', join(folder, name))
}, SETUP_TIMEOUT_MS)
afterAll(async () => {
  await stopAll()
  rmSync(folder, { recursive: true, force: true })
})

describe('npm install -g', () => {
  test.each(['pistachio', 'nutcracker'])('%s serves with the Node that is new enough', async name => {
    const redis = await startRedis()
    const [port, statsPort] = [await freePort(), await freePort()]
    const yml = poolYml({ listen: `127.0.0.1:${port}`, keys: { redis: true }, servers: [serverEntry(redis, 'a')] })
    const place = scratchFolder()
    writeFileSync(join(place, 'proxy.yml'), yml)
    const args = ['-c', 'proxy.yml', '-a', '127.0.0.1', '-s', `${statsPort}`, '--log-format', 'json']
    const env = { PATH: `${dirname(process.execPath)}:${SYSTEM_PATH}` }
    const proxy = new Child(join(prefix, 'bin', name), args, { folder: place, env })
    await proxy.listening({ port })
    const wire = await Wire.open({ port })
    wire.send(encode('SET', 'key', 'value'))
    expect(`${await wire.redisReplies(1)}`).toBe('+OK\r\n')
    wire.destroy()
    expect(JSON.parse(proxy.output().split('\n')[0]!).msg).toContain('started on pid')
    expect(await proxy.stop()).toEqual({ code: 0, signal: null })
  })

  test.each(['v20.20.2', 'v22.11.0', ''])('says what is missing where Node is %j', version => {
    const path = join(folder, `node ${version}`)
    mkdirSync(path)
    if (version !== '') writeFileSync(join(path, 'node'), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 })
    // The launcher needs no more of the system than this.
    for (const program of ['sh', 'readlink'])
      writeFileSync(join(path, program), `#!/bin/sh\nexec /bin/${program} "$@"\n`, { mode: 0o755 })
    const { status, stdout, stderr } = spawnSync(join(prefix, 'bin/nutcracker'), ['-V'], {
      env: { PATH: path },
      encoding: 'utf8',
    })
    const found = version === '' ? 'none' : version
    const remedy =
      'install it from https://nodejs.org, or use the executable that needs no Node (npm run package:binary)'
    const message = `pistachio: needs Node 24.21 or later (26: 26.10 or later), found ${found}: ${remedy}\n`
    expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: '', stderr: message })
  })

  test('compiles nothing, and brings the licence and the manual', () => {
    const home = join(prefix, 'lib/node_modules/pistachio')
    for (const file of ['README.md', 'CHANGELOG.md', 'LICENSE', 'docs/operations.md', 'dist/licences.txt']) {
      expect(existsSync(join(home, file)), file).toBe(true)
    }
    const modules = readdirSync(join(home, 'node_modules'), { recursive: true, encoding: 'utf8' })
    expect(modules.filter(name => name.endsWith('binding.gyp') || name.endsWith('.gypi'))).toEqual([])
  })
})
