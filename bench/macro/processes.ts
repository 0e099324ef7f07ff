/**
 * Every process that a run starts, so that none outlives it: servers, proxies, drivers. Each is the leader of a group
 * of its own, ended by its number; what still lives when the runner exits, for whatever reason but SIGKILL, is killed
 * then.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const END_MS = 5_000
const OUTPUT_CHARACTERS = 4096

/** One started process. */
export class Child {
  readonly name: string
  readonly process: ChildProcess
  /** Resolves with the exit code, or the signal's name, and never rejects. */
  readonly exited: Promise<string>
  hasExited = false
  #output = ''

  constructor(name: string, child: ChildProcess) {
    this.name = name
    this.process = child
    this.exited = new Promise(resolve => {
      child.once('error', error => this.#exit(resolve, error.message))
      child.once('close', (code, signal) => this.#exit(resolve, signal ?? String(code)))
    })
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString('utf8')).slice(-OUTPUT_CHARACTERS)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
  }

  /** 0 when the program could not be started. */
  get pid(): number {
    return this.process.pid ?? 0
  }

  /** The end of what it printed, on one line. */
  get lastOutput(): string {
    return this.#output.trim().split('\n').slice(-3).join(' | ')
  }

  /** SIGTERM, and SIGKILL to its group when that does not help within 5 s. */
  async end(): Promise<void> {
    if (this.hasExited) return
    this.signal('SIGTERM')
    const timer = setTimeout(() => this.signal('SIGKILL'), END_MS)
    await this.exited
    clearTimeout(timer)
  }

  signal(signal: NodeJS.Signals): void {
    if (this.hasExited || this.pid === 0) return
    try {
      process.kill(-this.pid, signal)
    } catch {
      // It is gone already; `exited` tells.
    }
  }

  #exit(resolve: (how: string) => void, how: string): void {
    this.hasExited = true
    resolve(how)
  }
}

/** Starts processes and ends them all. One for a run, with a folder for their files that goes when the run ends. */
export class Processes {
  readonly #children = new Set<Child>()
  readonly #scratch = mkdtempSync(join(tmpdir(), 'pistachio-bench-'))
  #ending = false

  constructor() {
    process.once('exit', () => {
      for (const child of this.#children) child.signal('SIGKILL')
      rmSync(this.#scratch, { recursive: true, force: true })
    })
  }

  /** A new empty folder. */
  scratchFolder(): string {
    return mkdtempSync(join(this.#scratch, 'process-'))
  }

  /**
   * @param input 'pipe' to be able to write to it or to close its input.
   * @throws once the run is ending, so that an interrupted measurement cannot start its next process.
   */
  start(name: string, command: string, args: readonly string[], input: 'pipe' | 'ignore' = 'ignore'): Child {
    if (this.#ending) throw new Error('The run is ending')
    const child = spawn(command, args, { detached: true, stdio: [input, 'pipe', 'pipe'] })
    const started = new Child(name, child)
    this.#children.add(started)
    void started.exited.then(() => this.#children.delete(started))
    return started
  }

  async endAll(): Promise<void> {
    this.#ending = true
    await Promise.all([...this.#children].map(child => child.end()))
  }
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('No port from the system')
  return address.port
}

/** Resolves after `ms` milliseconds. */
export function delay(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
