/** Runs the programs of `programs/` and says what this machine lacks for them. */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LINKED_PROGRAMS } from '../../scripts/application-modules.ts'
import { missingPackages } from '../../scripts/test-servers.mjs'
import type { Application } from './application.ts'

const PROGRAMS = fileURLToPath(new URL('programs', import.meta.url))
/** Longer than any program takes on a busy machine; a program that hangs has failed. */
const PROGRAM_TIMEOUT_MS = 50_000

/** Ending of a program's file → what comes before its path on the command line. */
const RUNNERS: Readonly<Record<string, readonly string[]>> = {
  mjs: [process.execPath, '--preserve-symlinks-main'],
  py: ['/usr/bin/python3'],
  php: ['php', '-d', 'zend.assertions=1', '-d', 'assert.exception=1'],
  rb: ['ruby'],
  pl: ['perl'],
  lua: ['lua5.1'],
  go: ['go', 'run'],
  java: ['java', '-cp', '/usr/share/java/spymemcached.jar'],
}

/** Debian's Go libraries lie in a workspace, not in modules. */
const ENVIRONMENT = {
  NODE_ENV: 'production',
  PYTHONDONTWRITEBYTECODE: '1',
  GO111MODULE: 'off',
  GOPATH: '/usr/share/gocode',
}

export interface Outcome {
  /** Exit code; -1 when it was ended by a signal. */
  readonly code: number
  readonly output: string
}

/** @returns '' or what is missing for an application here. */
export function missingFor(application: Application): string {
  if (application.packages !== undefined) return missingPackages(application.packages).join(', ')
  return existsSync(LINKED_PROGRAMS) ? '' : 'packages from npm'
}

/** Runs an application's program at a port. */
export function run(application: Application, port: number, env: Readonly<Record<string, string>>): Promise<Outcome> {
  const [command, ...before] = RUNNERS[application.program.split('.').at(-1)!]!
  const path = join(application.packages === undefined ? LINKED_PROGRAMS : PROGRAMS, application.program)
  const variables = { ...process.env, ...ENVIRONMENT, ...env, PORT: `${port}` }
  return new Promise((resolve, reject) => {
    const args = ['--pdeathsig', 'KILL', command!, ...before, path]
    const child = spawn('setpriv', args, { env: variables, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    const timer = setTimeout(() => killGroup(child), PROGRAM_TIMEOUT_MS)
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', chunk => {
        output += String(chunk)
      })
    child.once('error', reject)
    child.once('exit', () => killGroup(child))
    child.once('close', code => {
      clearTimeout(timer)
      resolve({ code: code ?? -1, output })
    })
  })
}

/** Ends a program and the workers that it started. */
function killGroup(child: ChildProcess): void {
  try {
    process.kill(-child.pid!, 'SIGKILL')
  } catch {
    // All of them have ended.
  }
}

/** The last lines of a program's output or of a log, for a failed test's message. */
export function linesOf(text: string, count: number): string {
  return text.trim().split('\n').slice(-count).join('\n')
}

export const DOCUMENT = fileURLToPath(new URL('../../docs/applications.md', import.meta.url))

export function readDocument(): string {
  return readFileSync(DOCUMENT, 'utf8')
}
