/** Real signals, sent by this process to itself: what is called and which lines are logged. */

import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLogger, type Logger } from '../../../../src/log/log.ts'
import { installSignals } from '../../../../src/main/process/signals.ts'
import { Control } from '../../../../src/shared/memory-layout.ts'
import { waitUntil } from '../../../support/wait.ts'

const STAMP = '[.......................] '

let folder = ''
let path = ''
let control = new Int32Array(32)
let log: Logger
let uninstall = () => {}
let calls: string[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pistachio-signals-'))
  path = join(folder, 'proxy.log')
  control = new Int32Array(32)
  control[Control.logLevel] = 5
  calls = []
  log = createLogger({ path, format: 'nutcracker', control, component: 'main' })
  uninstall = installSignals({
    log,
    logFile: path,
    ignored: new Set(),
    onReopenLog: () => calls.push('reopen'),
    onReload: () => calls.push('reload'),
    onDrain: signal => calls.push(`drain ${signal}`),
    onExit: signal => calls.push(`exit ${signal}`),
  })
})

afterEach(() => {
  uninstall()
  log.close()
  rmSync(folder, { recursive: true, force: true })
})

function lines(file = path): string[] {
  return readFileSync(file, 'utf8').split('\n').slice(0, -1)
}

/** Sends the signal and waits until `count` lines are in the file. */
async function send(signal: NodeJS.Signals, count: number, file = path): Promise<void> {
  process.kill(process.pid, signal)
  await waitUntil(() => existsSync(file) && lines(file).length >= count, `${count} lines after ${signal}`)
}

describe('log level', () => {
  it('goes up with SIGTTIN and down with SIGTTOU', async () => {
    await send('SIGTTIN', 2)
    expect(control[Control.logLevel]).toBe(6)
    await send('SIGTTOU', 4)
    await send('SIGTTOU', 6)
    expect(control[Control.logLevel]).toBe(4)
    expect(lines()).toEqual([
      `${STAMP}signal 21 (SIGTTIN) received, up logging level`,
      `${STAMP}up log level to 6`,
      `${STAMP}signal 22 (SIGTTOU) received, down logging level`,
      `${STAMP}down log level to 5`,
      `${STAMP}signal 22 (SIGTTOU) received, down logging level`,
      `${STAMP}down log level to 4`,
    ])
  })

  it('stays within its limits, without a second line', async () => {
    control[Control.logLevel] = 11
    await send('SIGTTIN', 1)
    control[Control.logLevel] = 0
    await send('SIGTTOU', 2)
    expect(lines()).toEqual([
      `${STAMP}signal 21 (SIGTTIN) received, up logging level`,
      `${STAMP}signal 22 (SIGTTOU) received, down logging level`,
    ])
    expect(control[Control.logLevel]).toBe(0)
  })
})

describe('SIGHUP', () => {
  it('says so in the old file, opens the new one and tells the workers', async () => {
    const rotated = `${path}.1`
    renameSync(path, rotated)
    await send('SIGHUP', 1, rotated)
    log.notice('after')
    expect(lines(rotated)).toEqual([`${STAMP}signal 1 (SIGHUP) received, reopening log file`])
    expect(lines()).toHaveLength(1)
    expect(calls).toEqual(['reopen'])
  })

  it('keeps the old file and complains on stderr when the new one cannot be opened', async () => {
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    const moved = `${folder}-moved`
    renameSync(folder, moved)
    await send('SIGHUP', 1, join(moved, 'proxy.log'))
    expect(stderr).toHaveBeenCalledWith(`reopening log file '${path}' failed, ignored: No such file or directory\n`)
    stderr.mockRestore()
    log.notice('after')
    expect(lines(join(moved, 'proxy.log'))).toHaveLength(2)
    rmSync(moved, { recursive: true })
  })
})

describe('reload and end', () => {
  it('SIGUSR1 reloads, SIGUSR2 does nothing; both are logged', async () => {
    await send('SIGUSR1', 1)
    await send('SIGUSR2', 2)
    expect(calls).toEqual(['reload'])
    expect(lines()).toEqual([`${STAMP}signal 10 (SIGUSR1) received`, `${STAMP}signal 12 (SIGUSR2) received`])
  })

  it.each([
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const)('%s drains, and any second one ends at once', async (signal, number) => {
    await send(signal, 1)
    expect(calls).toEqual([`drain ${signal}`])
    await send('SIGTERM', 2)
    expect(calls).toEqual([`drain ${signal}`, 'exit SIGTERM'])
    expect(lines()).toEqual([
      `${STAMP}signal ${number} (${signal}) received, exiting`,
      `${STAMP}signal 15 (SIGTERM) received, exiting at once`,
    ])
  })

  it('are logged at level 0 too', async () => {
    control[Control.logLevel] = 0
    await send('SIGUSR2', 1)
  })
})
