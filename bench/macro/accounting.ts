/**
 * What a process has used, from the kernel's own books in /proc: CPU of all its threads, resident memory and its peak.
 * Called by the driver (at both ends of its measured window) and by the runner. Everything is summed over a list of
 * processes, because a contender may be a launcher and its child.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** /proc counts CPU in ticks of 1/100 s (USER_HZ is 100 on every Linux architecture that Node runs on). */
const TICK_US = 10_000

/** User and system time of the processes since they began, all threads, in µs. A process that has gone counts 0. */
export function cpuUs(pids: readonly number[]): number {
  let ticks = 0
  for (const pid of pids) {
    const fields = statFields(pid)
    if (fields !== null) ticks += Number(fields[11]) + Number(fields[12])
  }
  return ticks * TICK_US
}

/** CPU of this process's children that have ended, in µs: the difference over a child's life is that child's. */
export function endedChildrenCpuUs(): number {
  const fields = statFields(process.pid)
  return fields === null ? 0 : (Number(fields[13]) + Number(fields[14])) * TICK_US
}

/** Resident memory of the processes in bytes (VmRSS). */
export function residentBytes(pids: readonly number[]): number {
  return statusBytes(pids, 'VmRSS')
}

/** Highest resident memory since the start or the last `resetPeak`, in bytes (VmHWM). */
export function peakBytes(pids: readonly number[]): number {
  return statusBytes(pids, 'VmHWM')
}

/** Sets VmHWM back to the present VmRSS (proc(5), clear_refs value 5). */
export function resetPeak(pids: readonly number[]): void {
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

/** The process and all its descendants, by parent links. */
export function processTree(root: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const fields = statFields(Number(name))
    if (fields !== null) parents.set(Number(name), Number(fields[1]))
  }
  const tree = [root]
  for (let at = 0; at < tree.length; at++) {
    for (const [pid, parent] of parents) if (parent === tree[at]) tree.push(pid)
  }
  return tree
}

/** Fields of /proc/PID/stat after the command name, which may itself hold spaces and brackets; index 0 is the state. */
function statFields(pid: number): string[] | null {
  const text = readOrEmpty(`/proc/${pid}/stat`)
  return text === '' ? null : text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function statusBytes(pids: readonly number[], field: string): number {
  let kilobytes = 0
  const pattern = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm')
  for (const pid of pids) kilobytes += Number(pattern.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0)
  return kilobytes * 1024
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
