/**
 * Sets the variable of the C library that `bin/pistachio` sets. The library reads its environment only when a process starts, so the
 * executable executes itself again if the variable is missing: same process number, arguments and `argv[0]`; about 25 ms.
 */

import { existsSync } from 'node:fs'

/** glibc returns blocks of this many bytes or more to the system when they are freed, and does not keep them in its arenas. */
const NAME = 'MALLOC_MMAP_THRESHOLD_'
const BYTES = '131072'

// Without /proc the executable is known only by `argv[0]`, which need not be a path. An exec that fails would end the process.
if (process.env[NAME] === undefined && existsSync(process.execPath)) {
  const args = [process.argv0, ...process.argv.slice(2)]
  process.execve!(process.execPath, args, { ...process.env, [NAME]: BYTES })
}
