/**
 * The process's name in `ps`, `pgrep` and `killall`: the name it was started by, and not `node`.
 * Called once by `index.ts` on the primary thread.
 */

import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { isSea } from 'node:sea'

/** Option by which `bin/pistachio` passes the name it was started by. */
const TITLE = '--title='

/**
 * Makes the program's name the command, and in a checkout also `name option option …` the command
 * line.
 */
export function nameProcess(): void {
  const name = isSea() ? basename(process.argv0) : titleOption()
  // The one-file executable has its own command line already, and setting the title would overwrite
  // it.
  if (!isSea()) process.title = [name, ...process.argv.slice(2)].join(' ')
  try {
    // Until here the command is Node's name for its main thread, or the first 15 bytes of the title
    // with its options.
    writeFileSync('/proc/self/comm', name)
  } catch {
    // Not Linux, or no /proc: `pgrep` finds the name at the beginning of the title.
  }
}

function titleOption(): string {
  return process.execArgv.find(option => option.startsWith(TITLE))?.slice(TITLE.length) ?? 'pistachio'
}
