import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import {
  cpuUs,
  endedChildrenCpuUs,
  peakBytes,
  processTree,
  resetPeak,
  residentBytes,
} from '../../../bench/macro/accounting.ts'

/** A child that keeps 64 MB until told, then drops them. */
const HOLDER = `let held = Buffer.alloc(64 << 20, 1); console.log('held')
process.stdin.once('data', () => { held = null; global.gc(); console.log('dropped') })`

describe('the account of a process', () => {
  it('grows by the CPU that it burns, as the process counts it itself', () => {
    const before = cpuUs([process.pid])
    const own = process.cpuUsage()
    const until = performance.now() + 200
    while (performance.now() < until);
    const { user, system } = process.cpuUsage(own)
    expect(Math.abs(cpuUs([process.pid]) - before - user - system)).toBeLessThan(40_000)
  })

  it('keeps the peak until it is reset', async () => {
    const child = spawn(process.execPath, ['--expose-gc', '-e', HOLDER])
    const pids = [child.pid!]
    try {
      await once(child.stdout, 'data')
      expect(residentBytes(pids)).toBeGreaterThan(64 << 20)
      child.stdin.write('x')
      await once(child.stdout, 'data')
      const peak = peakBytes(pids)
      // V8 frees the buffer on a thread of its own, some time after the collection.
      await expect.poll(() => peak - residentBytes(pids)).toBeGreaterThan(32 << 20)
      resetPeak(pids)
      expect(peak - peakBytes(pids)).toBeGreaterThan(32 << 20)
    } finally {
      child.kill()
      await once(child, 'exit')
    }
  })

  it('includes the children of a launcher', async () => {
    const child = spawn('/bin/sh', ['-c', 'sleep 30 & echo started; wait'], { detached: true })
    try {
      await once(child.stdout, 'data')
      expect(processTree(child.pid!)).toHaveLength(2)
    } finally {
      process.kill(-child.pid!, 'SIGKILL')
      await once(child, 'exit')
    }
  })

  it('knows what a child used once that has ended', async () => {
    const before = endedChildrenCpuUs()
    const child = spawn(process.execPath, ['-e', 'while (process.cpuUsage().user < 150_000);'])
    await once(child, 'exit')
    expect(endedChildrenCpuUs() - before).toBeGreaterThan(100_000)
  })

  it('of a process that has gone is 0', () => {
    expect(cpuUs([2 ** 22 + 1])).toBe(0)
    expect(residentBytes([2 ** 22 + 1])).toBe(0)
  })
})
