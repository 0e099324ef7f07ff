/**
 * Applications from npm that `npm run test:apps` tries: installed with the fixed versions of `test/apps/npm`, into a folder of their own, since
 * the project itself needs none of them. Prints a line that begins with SKIPPED, and exits 1, when they cannot be had.
 */

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAMS = fileURLToPath(new URL('../test/apps/programs', import.meta.url))
const LISTS = fileURLToPath(new URL('../test/apps/npm', import.meta.url))
const INSTALL_MS = 180_000

/** Where they are installed: `node_modules` within it. */
const MODULES_FOLDER = fileURLToPath(new URL('../node_modules/.applications', import.meta.url))

/** The programs beside the packages, as Node looks for packages there: a link, to be run with `--preserve-symlinks-main`. */
export const LINKED_PROGRAMS = join(MODULES_FOLDER, 'programs')

/** @returns '' when they are there, else why not. */
function ensureModules(): string {
  if (isInstalled()) return ''
  rmSync(MODULES_FOLDER, { recursive: true, force: true })
  mkdirSync(MODULES_FOLDER, { recursive: true })
  cpSync(LISTS, MODULES_FOLDER, { recursive: true })
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const { status, stderr, error } = spawnSync('npm', args, {
    cwd: MODULES_FOLDER,
    encoding: 'utf8',
    timeout: INSTALL_MS,
  })
  if (status === 0) {
    symlinkSync(PROGRAMS, LINKED_PROGRAMS)
    return ''
  }
  rmSync(MODULES_FOLDER, { recursive: true, force: true })
  return error?.message ?? stderr.trim().split('\n')[0]!
}

function isInstalled(): boolean {
  const lock = 'package-lock.json'
  const done = join(MODULES_FOLDER, 'node_modules', '.package-lock.json')
  if (!existsSync(done) || !existsSync(LINKED_PROGRAMS)) return false
  return readFileSync(join(MODULES_FOLDER, lock), 'utf8') === readFileSync(join(LISTS, lock), 'utf8')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problem = ensureModules()
  if (problem !== '') {
    console.error(`SKIPPED applications from npm: ${problem}`)
    process.exitCode = 1
  }
}
