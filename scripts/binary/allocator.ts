/**
 * Gives the C library the setting that `bin/pistachio` gives it: it reads its environment once, when a process begins, so the executable
 * begins a second time where it is missing. Same process number, same arguments, same `argv[0]`; costs about 25 ms.
 */

import { existsSync } from 'node:fs'

/** glibc returns blocks of this many bytes or more to the system when they are freed, in place of keeping them in its arenas. */
const NAME = 'MALLOC_MMAP_THRESHOLD_'
const BYTES = '131072'

// Without /proc the executable is known only by `argv[0]`, which need not be a path. An exec that fails would end the process.
if (process.env[NAME] === undefined && existsSync(process.execPath)) {
  const args = [process.argv0, ...process.argv.slice(2)]
  process.execve!(process.execPath, args, { ...process.env, [NAME]: BYTES })
}
