/**
 * Node's garbage collector, called by name. Data plane; for `memory-guard.ts`, when a burst is over.
 *
 * Only V8's flag `--expose-gc` gives it to a program, and V8 takes compiled code from a cache only under the flags that it was compiled
 * with. On the command line the flag made every thread compile Node's own modules again: 15 ms of the primary's start, 55 ms of a worker's.
 * So it is set when the collector is first needed (2 to 10 ms, once a thread).
 */

interface GarbageCollection {
  readonly type: 'major'
  readonly execution: 'sync'
  /** `last-resort` also returns the collector's own pages to the system. */
  readonly flavor: 'regular' | 'last-resort'
}

type Collect = (options: GarbageCollection) => void

let collect: Collect | null = null

/** Returns when it is done: 10 to 50 ms. */
export function collectGarbage(flavor: GarbageCollection['flavor']): void {
  collect ??= exposeCollector()
  collect({ type: 'major', execution: 'sync', flavor })
}

function exposeCollector(): Collect {
  // Threads that start from now on are slower to start: that does no harm, while taking the flag back would race with other workers.
  process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc')
  // A context gets the function when it is made.
  return process.getBuiltinModule('node:vm').runInNewContext('gc') as Collect
}
