/**
 * What `ps`, `pgrep` and `killall` call the process: the name it was started by, as a program of its own would have it, and not `node`.
 * Called once by `index.ts` on the primary thread.
 */

import { writeFileSync } from 'node:fs'

/** How `bin/pistachio` hands over the name it was started by. */
const TITLE = '--title='

/** Shows `name option option …` as the command line, and the name alone as the command. */
export function nameProcess(): void {
  const name = process.execArgv.find(option => option.startsWith(TITLE))?.slice(TITLE.length) ?? 'pistachio'
  process.title = [name, ...process.argv.slice(2)].join(' ')
  try {
    // Setting the title has made its first 15 bytes the command, options and all.
    writeFileSync('/proc/self/comm', name)
  } catch {
    // Not Linux, or no /proc: `pgrep` finds the name at the beginning of the title.
  }
}
