/** `bin/pistachio` as a shell runs it: found through links, from any folder, with the Node that is new enough or a clear refusal. */

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const LAUNCHER = fileURLToPath(new URL('../../../bin/pistachio', import.meta.url))
/** Stands for the proxy. */
const PROGRAM = 'console.log(JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd(), pid: process.pid }))'

let folder = ''
let home = ''

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'pistachio-launcher-')))
  home = join(folder, 'its home')
  mkdirSync(join(home, 'bin'), { recursive: true })
  mkdirSync(join(home, 'dist/main'), { recursive: true })
  mkdirSync(join(home, 'node_modules/node/bin'), { recursive: true })
  cpSync(LAUNCHER, join(home, 'bin/pistachio'))
  writeFileSync(join(home, 'dist/main/index.js'), PROGRAM)
  symlinkSync(process.execPath, join(home, 'node_modules/node/bin/node'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

interface Outcome {
  readonly stdout: string
  readonly stderr: string
  readonly status: number | null
  readonly pid: number
}

/** @param path value of PATH, where a `node` may be. */
function run(command: string, args: string[], options: { cwd?: string; path?: string } = {}): Outcome {
  const { cwd = folder, path = '/usr/bin:/bin' } = options
  return spawnSync(command, args, { cwd, env: { PATH: path }, encoding: 'utf8', timeout: 20_000 })
}

/** A folder with a `node` that claims to be of that version and says `ran` when it is used. */
function fakeNode(version: string): string {
  const path = join(folder, `node ${version}`)
  mkdirSync(path)
  const script = `#!/bin/sh\n[ "$1" = --version ] && echo '${version}' || echo ran\n`
  writeFileSync(join(path, 'node'), script, { mode: 0o755 })
  return path
}

describe('the launcher', () => {
  it('becomes the proxy: same process, arguments and folder', () => {
    const { stdout, status, pid } = run(join(home, 'bin/pistachio'), ['-c', 'a b', '', '*'])
    expect(JSON.parse(stdout)).toEqual({ args: ['-c', 'a b', '', '*'], cwd: folder, pid })
    expect(status).toBe(0)
  })

  it.each([
    ['an absolute link', (at: string) => symlinkSync(join(home, 'bin/pistachio'), at)],
    ['a relative link', (at: string) => symlinkSync('its home/bin/pistachio', at)],
    [
      'a link to a link',
      (at: string) => {
        symlinkSync('its home/bin/pistachio', join(folder, 'first'))
        symlinkSync('first', at)
      },
    ],
  ])('finds its home through %s called nutcracker', (_, link) => {
    link(join(folder, 'nutcracker'))
    expect(JSON.parse(run('./nutcracker', ['-x']).stdout).args).toEqual(['-x'])
    expect(JSON.parse(run('nutcracker', ['-x'], { cwd: '/', path: `${folder}:/usr/bin:/bin` }).stdout).cwd).toBe('/')
    expect(JSON.parse(run('sh', ['nutcracker', '-x']).stdout).args).toEqual(['-x'])
  })

  it('finds its home through a linked folder', () => {
    symlinkSync('its home/bin', join(folder, 'linked'))
    expect(run('linked/pistachio', []).status).toBe(0)
  })

  it('says what to do when the program has not been built', () => {
    rmSync(join(home, 'dist'), { recursive: true })
    const { stderr, status } = run(join(home, 'bin/pistachio'), [])
    expect(stderr).toBe(`pistachio: ${home}/dist/main/index.js is missing: build it with 'npm ci' in ${home}\n`)
    expect(status).toBe(1)
  })
})

describe('without a Node of its own', () => {
  beforeEach(() => rmSync(join(home, 'node_modules'), { recursive: true }))

  it.each(['v24.21.0', 'v24.30.1', 'v24.21.0-rc.1', 'v26.10.0', 'v27.0.0', 'v30.1.2'])(
    'takes %s from the PATH',
    version => {
      const { stdout, status } = run(join(home, 'bin/pistachio'), [], { path: `${fakeNode(version)}:/usr/bin:/bin` })
      expect(stdout).toBe('ran\n')
      expect(status).toBe(0)
    },
  )

  it.each(['v9.1.1', 'v20.20.2', 'v24.20.9', 'v25.9.0', 'v26.9.9', 'nonsense'])('refuses %s', version => {
    const { stdout, stderr, status } = run(join(home, 'bin/pistachio'), [], {
      path: `${fakeNode(version)}:/usr/bin:/bin`,
    })
    expect(stdout).toBe('')
    expect(stderr).toContain(`pistachio: needs Node 24.21 or later (26: 26.10 or later), found ${version}: `)
    expect(status).toBe(1)
  })

  it('says so when there is none at all', () => {
    const { stderr, status } = run(join(home, 'bin/pistachio'), [], { path: '/nonexistent' })
    expect(stderr).toContain('found none: ')
    expect(status).toBe(1)
  })
})
