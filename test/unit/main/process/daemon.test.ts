/** `-d` with real processes: a small program that becomes a daemon and reports what it finds. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { waitUntil } from '../../../support/wait.ts'

const DAEMON_MODULE = new URL('../../../../src/main/process/daemon.ts', import.meta.url).href

interface Report {
  readonly pid: number
  readonly cwd: string
  readonly args: string[]
  readonly umask: number
  readonly environment: string[]
}

/** Becomes a daemon, reports to `report.json` and ends when the file `stop` is there. */
const PROGRAM = `
  import { existsSync, renameSync, writeFileSync } from 'node:fs'
  import { daemonize } from ${JSON.stringify(DAEMON_MODULE)}
  if (process.argv[2] === 'broken') process.execPath = '/nonexistent/node'
  const outcome = await daemonize()
  if (outcome.role === 'daemon' && process.argv[2] === 'fails') {
    outcome.report.failed('first line\\nsecond line')
    outcome.report.serving()
    process.exit(1)
  } else if (outcome.role === 'daemon' && process.argv[2] === 'dies') {
    process.kill(process.pid, 'SIGKILL')
  } else if (outcome.role === 'daemon') {
    const report = { pid: process.pid, cwd: process.cwd(), args: process.argv.slice(2), umask: process.umask(), environment: Object.keys(process.env) }
    writeFileSync('report.new', JSON.stringify(report))
    renameSync('report.new', 'report.json')
    outcome.report.serving()
    setInterval(() => existsSync('stop') && process.exit(0), 5)
  } else {
    console.log(JSON.stringify({ ...outcome, self: process.pid }))
    process.exit(outcome.role === 'failed' ? 1 : 0)
  }`

let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pistachio-daemon-'))
  writeFileSync(join(folder, 'program.mjs'), PROGRAM)
})

afterEach(async () => {
  writeFileSync(join(folder, 'stop'), '')
  if (existsSync(join(folder, 'report.json'))) {
    const { pid } = report()
    await waitUntil(() => !existsSync(`/proc/${pid}/fd/0`), 'end of the daemon')
  }
  rmSync(folder, { recursive: true, force: true })
})

function report(): Report {
  return JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'))
}

describe('daemonize', () => {
  it('ends the foreground process with 0 and leaves one in a session of its own, in the same folder', async () => {
    const args = ['program.mjs', '-c', 'a b', '']
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(status).toBe(0)
    const foreground = JSON.parse(stdout)
    // It has waited for the daemon.
    const daemon = report()
    expect(daemon.pid).toBe(foreground.pid)
    expect(daemon.pid).not.toBe(foreground.self)
    expect(daemon.cwd).toBe(folder)
    expect(daemon.args).toEqual(['-c', 'a b', ''])
    expect(daemon.umask).toBe(0)
    expect(daemon.environment).not.toContain('PISTACHIO_DAEMON')
    const session = readFileSync(`/proc/${daemon.pid}/stat`, 'utf8').split(' ')[5]
    expect(session).toBe(String(daemon.pid))
    for (const fd of [0, 1, 2]) expect(readlinkSync(`/proc/${daemon.pid}/fd/${fd}`)).toBe('/dev/null')
  })

  it.each([
    ['fails', 'first line\nsecond line'],
    ['dies', 'the daemon ended by SIGKILL before it served'],
  ])('tells when the daemon %s', (how, message) => {
    const { stdout, status } = spawnSync(process.execPath, ['program.mjs', how], { cwd: folder, encoding: 'utf8' })
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ role: 'failed', message })
  })

  it('says why when the system refuses another process', () => {
    const { stdout, status } = spawnSync(process.execPath, ['program.mjs', 'broken'], { cwd: folder, encoding: 'utf8' })
    expect(status).toBe(1)
    expect(JSON.parse(stdout).message).toBe('starting the daemon failed: No such file or directory')
  })
})
