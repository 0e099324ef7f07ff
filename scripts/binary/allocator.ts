/**
 * Gives the C library the setting that `bin/pistachio` gives it: it reads its environment once, when a process begins, so the executable
 * begins a second time where it is missing. Same process number, same arguments, same `argv[0]`; which costs about 25 ms.
 */

/** glibc returns blocks of this many bytes or more to the system when they are freed, in place of keeping them in its arenas. */
const NAME = 'MALLOC_MMAP_THRESHOLD_'
const BYTES = '131072'

if (process.env[NAME] === undefined) {
  const args = [process.argv0, ...process.argv.slice(2)]
  process.execve!(process.execPath, args, { ...process.env, [NAME]: BYTES })
}
