/**
 * Loaded into every thread of a proxy under test (`HEAP_HOOK` in `startProxy`'s environment): when
 * it is asked to, each thread collects its garbage and writes what its objects and its buffers then
 * take to a file in the proxy's folder.
 *
 *     test: ask-heap := n ──▶ every thread: collect, heap-<thread> := n, sizes ──▶ test: all have answered n
 */

import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getHeapSpaceStatistics } from 'node:v8'
import { isMainThread, workerData } from 'node:worker_threads'
import { waitUntil } from '../wait.ts'

const POLL_MS = 20
const LONGEST_WAIT_MS = 30_000
const ASKED = 'ask-heap'
const ANSWER = 'heap-'
/** End of the name of a file that is still being written. */
const UNFINISHED = '.tmp'
const MARK = 'PISTACHIO_TEST_HEAPS'

/** Environment for a proxy whose heaps are measured. */
export const HEAP_HOOK = { NODE_OPTIONS: `--expose-gc --import=${import.meta.url}`, [MARK]: '1' }

/** What one thread still holds on to after a full collection, bytes. */
export interface HeapSize {
  /** `main`, or the index of a worker. */
  readonly thread: string
  /** Objects in its heap, less compiled code. */
  readonly objectBytes: number
  /** Buffers and other memory outside of the heap that objects in it keep alive. */
  readonly externalBytes: number
}

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void

let asked = 0

/** Sizes of all threads of the proxy in `folder`, measured now. @param workers how many it has. */
export async function measureHeaps(folder: string, workers: number): Promise<readonly HeapSize[]> {
  const number = `${++asked}`
  writeWhole(join(folder, ASKED), number)
  let sizes: readonly HeapSize[] = []
  const complete = (): boolean => {
    sizes = answersTo(number, folder)
    return sizes.length === workers + 1
  }
  await waitUntil(complete, 'the sizes of all heaps', LONGEST_WAIT_MS)
  return sizes
}

function answersTo(number: string, folder: string): HeapSize[] {
  const names = readdirSync(folder).filter(name => name.startsWith(ANSWER) && !name.endsWith(UNFINISHED))
  return names.flatMap(name => {
    const [answered, objects, external] = readFileSync(join(folder, name), 'latin1').split(' ')
    if (answered !== number) return []
    return [{ thread: name.slice(ANSWER.length), objectBytes: Number(objects), externalBytes: Number(external) }]
  })
}

/** Written under another name and renamed, so that no reader sees a part of it. */
function writeWhole(path: string, text: string): void {
  writeFileSync(path + UNFINISHED, text)
  renameSync(path + UNFINISHED, path)
}

function readAsked(): string {
  try {
    return readFileSync(ASKED, 'latin1')
  } catch {
    return ''
  }
}

function answer(number: string, file: string): void {
  const { gc } = globalThis as { gc?: Collect }
  if (gc === undefined) throw new Error('The heap hook needs --expose-gc')
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  // What was found dead may have callbacks, and these let go of more.
  setImmediate(() => {
    gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    writeWhole(file, `${number} ${objectBytes()} ${process.memoryUsage().external}`)
  })
}

/**
 * Compiled code is left out: functions are compiled when they have been called often enough, so it
 * grows for hours, to an end.
 */
function objectBytes(): number {
  const spaces = getHeapSpaceStatistics().filter(({ space_name: name }) => !/code|trusted/.test(name))
  return spaces.reduce((sum, { space_used_size: bytes }) => sum + bytes, 0)
}

// This module is also what tests import, in processes of their own.
const thread = isMainThread ? 'main' : workerData?.workerIndex
if (process.env[MARK] !== undefined && thread !== undefined) {
  let answered = ''
  setInterval(() => {
    const number = readAsked()
    if (number === answered) return
    answered = number
    answer(number, `${ANSWER}${thread}`)
  }, POLL_MS).unref()
}
