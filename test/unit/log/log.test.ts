/** The log of a thread: levels, formats, rotation, and several threads on one file. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LogLevel, type Severity } from '../../../src/log/level.ts'
import { MESSAGE_LIMIT } from '../../../src/log/line.ts'
import { createLogger, type Logger } from '../../../src/log/log.ts'
import { Control } from '../../../src/shared/memory-layout.ts'

const SEVERITIES = ['alert', 'error', 'warn', 'notice', 'info', 'debug', 'banner'] as const satisfies Severity[]
const LOG_MODULE = new URL('../../../src/log/log.ts', import.meta.url).href

let folder = ''
let path = ''
let control: Int32Array = new Int32Array(32)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pistachio-log-'))
  path = join(folder, 'proxy.log')
  control = new Int32Array(new SharedArrayBuffer(128))
  control[Control.logLevel] = 5
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function open(format: 'nutcracker' | 'json' = 'nutcracker'): Logger {
  return createLogger({ path, format, control, component: 'main' })
}

function lines(file = path): string[] {
  return readFileSync(file, 'utf8').split('\n').slice(0, -1)
}

describe('levels', () => {
  it.each([...Array(12).keys()])('at level %i shows the severities up to it, in both formats', level => {
    control[Control.logLevel] = level
    for (const format of ['nutcracker', 'json'] as const) {
      rmSync(path, { force: true })
      const log = open(format)
      for (const severity of SEVERITIES) log[severity](`a line of ${severity}`)
      const expected = SEVERITIES.filter(severity => LogLevel[severity] <= level)
      const shown = lines().map(line => /a line of (\w+)/.exec(line)?.[1])
      expect(shown).toEqual(expected)
      for (const severity of SEVERITIES) expect(log.enabled(severity)).toBe(expected.includes(severity))
      log.close()
    }
  })

  it('shift by one for every logger of the control block, and stop at 0 and 11', () => {
    const log = open()
    const other = createLogger({ path, format: 'json', control, component: 'other' })
    expect(log.shiftLevel(1)).toBe(6)
    expect(other.level).toBe(6)
    control[Control.logLevel] = 11
    expect(log.shiftLevel(1)).toBe(-1)
    control[Control.logLevel] = 0
    expect(log.shiftLevel(-1)).toBe(-1)
    expect(log.level).toBe(0)
    log.close()
    other.close()
  })

  it('come from the next generation once it is followed, for children too', () => {
    const log = open()
    const child = log.child('listener')
    const next = new Int32Array(32)
    next[Control.logLevel] = 7
    log.follow(next)
    child.debug('seen')
    control[Control.logLevel] = 0
    child.debug('seen as well')
    expect(lines()).toHaveLength(2)
    log.close()
  })
})

describe('nutcracker format', () => {
  it('names the component of the child', () => {
    const log = open()
    log.child('listener').notice('bound')
    log.notice('started')
    expect(lines()[0]).toMatch(/^\[[-0-9]{10} [0-9:.]{12}] listener: bound$/)
    expect(lines()[1]).toMatch(/] main: started$/)
    log.close()
  })

  it('gives the frames of a stack a line each', () => {
    const log = open()
    log.error('worker died', new TypeError('bad\nthing'))
    const [first, second, ...frames] = lines()
    expect(first).toMatch(/] main: worker died$/)
    expect(second).toMatch(/] main: TypeError: bad$/)
    expect(frames.some(line => /] main: {5}at .*log\.test\.ts/.test(line))).toBe(true)
    log.close()
  })

  it('writes a line about a signal at every level', () => {
    control[Control.logLevel] = 0
    const log = open()
    log.signal('signal 12 (SIGUSR2) received')
    expect(lines()).toEqual(['[.......................] signal 12 (SIGUSR2) received'])
    log.close()
  })
})

describe('JSON format', () => {
  it('gives an object a line: level by name, ISO time, pid, component, message', () => {
    const log = open('json')
    log.child('listener').warn('a "quoted"\n line')
    const record = JSON.parse(lines()[0]!)
    expect(record).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      pid: process.pid,
      component: 'listener',
      msg: 'a "quoted"\n line',
    })
    log.close()
  })

  it('carries the error with its stack', () => {
    const log = open('json')
    log.alert('cannot go on', new RangeError('too far'))
    const record = JSON.parse(lines()[0]!)
    expect(record).toMatchObject({ level: 'alert', err: { type: 'RangeError', message: 'too far' } })
    expect(record.err.stack).toContain('log.test.ts')
    log.close()
  })

  it('has banner and signal lines as information', () => {
    const log = open('json')
    log.banner('started')
    log.signal('signal 1 (SIGHUP) received')
    expect(lines().map(line => JSON.parse(line).level)).toEqual(['info', 'info'])
    log.close()
  })
})

describe('a message without end', () => {
  it.each(['nutcracker', 'json'] as const)('is cut in %s format', format => {
    const log = open(format)
    log.notice('x'.repeat(1_000_000))
    expect(lines()[0]!.length).toBeLessThan(MESSAGE_LIMIT + 200)
    log.close()
  })
})

describe('the file', () => {
  it('is appended to and made with mode 0644', () => {
    const first = open()
    first.notice('one')
    first.close()
    const second = open()
    second.notice('two')
    second.close()
    expect(lines()).toHaveLength(2)
    expect(statSync(path).mode & 0o777).toBe(0o644 & ~process.umask())
  })

  it('is opened anew by reopen, and lines go on in it', () => {
    const log = open()
    log.notice('before')
    const rotated = `${path}.1`
    renameSync(path, rotated)
    log.notice('still the old file')
    expect(existsSync(path)).toBe(false)
    log.reopen()
    log.child('x').notice('after')
    expect(lines(rotated)).toHaveLength(2)
    expect(lines()).toHaveLength(1)
    log.close()
  })

  it('stays in use when it cannot be opened anew', () => {
    const log = open()
    const moved = `${folder}-moved`
    renameSync(folder, moved)
    expect(() => log.reopen()).toThrow(expect.objectContaining({ code: 'ENOENT' }))
    log.notice('not lost')
    expect(lines(join(moved, 'proxy.log'))).toHaveLength(1)
    log.close()
    rmSync(moved, { recursive: true })
  })

  it('that cannot be opened at all is an error with a code', () => {
    path = join(folder, 'missing', 'proxy.log')
    expect(() => open()).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  })

  it('may be full without harm', () => {
    const log = createLogger({ path: '/dev/full', format: 'nutcracker', control, component: 'main' })
    for (let line = 0; line < 2_000; line++) log.notice('x'.repeat(100))
    log.close()
  })

  it('takes whole lines from several threads at once', async () => {
    const source = `
      const { workerData } = require('node:worker_threads')
      import(workerData.module).then(({ createLogger }) => {
        const log = createLogger({ path: workerData.path, format: 'nutcracker', control: workerData.control, component: workerData.name })
        for (let line = 0; line < 500; line++) log.notice('line ' + line + ' ' + workerData.name.repeat(20))
        log.close()
      })`
    const names = ['alpha', 'beta', 'gamma']
    await Promise.all(
      names.map(name => {
        const worker = new Worker(source, { eval: true, workerData: { module: LOG_MODULE, path, control, name } })
        return new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))
      }),
    )
    const counts = new Map(names.map(name => [name, 0]))
    for (const line of lines()) {
      const [, name, text] = /^\[[^\]]{23}] (\w+): line \d+ (\w+)$/.exec(line) ?? []
      expect(text, line).toBe(name!.repeat(20))
      counts.set(name!, counts.get(name!)! + 1)
    }
    expect([...counts.values()]).toEqual([500, 500, 500])
  })
})

describe('without a file', () => {
  it('lines go to stderr and reopen does nothing', () => {
    const code = `
      const { createLogger } = await import(${JSON.stringify(LOG_MODULE)})
      const log = createLogger({ path: '', format: 'nutcracker', control: new Int32Array(32).fill(5), component: 'main' })
      log.notice('one'); log.reopen(); log.notice('two'); log.close(); log.child('x')`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
      encoding: 'utf8',
    })
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^\[.*] main: one\n\[.*] main: two\n$/)
  })
})
