/**
 * Child processes of tests. Each one gets a scratch folder and dies with the test process, however
 * that ends: `stopAll()` in an `afterAll`, an exit hook, and a death signal from the kernel when
 * the test process itself is killed.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitUntil, withTimeout } from '../wait.ts'

const STOP_TIMEOUT_MS = 10_000
const OUTPUT_LIMIT_CHARS = 4_000_000

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const running = new Set<Child>()

process.once('exit', () => {
  for (const child of running) child.abandon()
})

/** Stops every child that still runs. For `afterAll` of each test file that starts one. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map(child => child.stop('SIGKILL')))
}

/** A fresh folder for sockets, logs and configuration; removed with the child that owns it. */
export function scratchFolder(): string {
  return mkdtempSync(join(tmpdir(), 'pistachio-test-'))
}

export interface ChildOptions {
  /** Owned by the child from here on: removed when it has stopped. */
  readonly folder: string
  readonly env?: NodeJS.ProcessEnv
}

export class Child {
  readonly folder: string
  /** Settles when the process has ended. */
  readonly exited: Promise<Exit>
  readonly #process: ChildProcess
  #output = ''
  #exit: Exit | null = null

  constructor(command: string, args: readonly string[], options: ChildOptions) {
    this.folder = options.folder
    this.#process = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
      cwd: options.folder,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      stream.on('data', chunk => {
        this.#output = (this.#output + chunk.toString('latin1')).slice(-OUTPUT_LIMIT_CHARS)
      })
    }
    running.add(this)
    this.exited = new Promise(resolve => {
      this.#process.once('error', error => {
        this.#output += error.message
        this.#ended({ code: null, signal: null }, resolve)
      })
      this.#process.once('close', (code, signal) => this.#ended({ code, signal }, resolve))
    })
  }

  get pid(): number {
    return this.#process.pid ?? -1
  }

  get alive(): boolean {
    return this.#exit === null
  }

  /** Everything written to stdout and stderr so far (the last 4 MB), one char a byte. */
  output(): string {
    return this.#output
  }

  /** A file of the child's folder as text, one char a byte; '' when there is none. */
  file(name: string): string {
    try {
      return readFileSync(join(this.folder, name), 'latin1')
    } catch {
      return ''
    }
  }

  signal(signal: NodeJS.Signals): void {
    if (this.alive) this.#process.kill(signal)
  }

  /**
   * Sends `signal`, waits for the end (SIGKILL when that takes too long) and removes the folder.
   */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    this.signal(signal)
    // A stopped (SIGSTOP) process takes no other signal than SIGKILL until it continues.
    if (signal !== 'SIGKILL') this.signal('SIGCONT')
    try {
      return await withTimeout(this.exited, `end of process ${this.pid}`, STOP_TIMEOUT_MS)
    } catch (error) {
      this.signal('SIGKILL')
      await this.exited
      throw error
    } finally {
      rmSync(this.folder, { recursive: true, force: true })
    }
  }

  /** Last resort of the exit hook: nothing may be awaited there. */
  abandon(): void {
    this.#process.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Resolves when `address` accepts a connection; rejects when the process ends first. */
  async listening(address: Address): Promise<void> {
    await waitUntil(async () => !this.alive || (await accepts(address)), `${describe(address)} to listen`)
    if (!this.alive) throw new Error(`Process ended before it listened on ${describe(address)}\n${this.#output}`)
  }

  #ended(exit: Exit, resolve: (exit: Exit) => void): void {
    this.#exit = exit
    running.delete(this)
    resolve(exit)
  }
}

/** Where something listens: a loopback port, or the path of a unix socket. */
export type Address = { readonly port: number } | { readonly path: string }

export function describe(address: Address): string {
  return 'port' in address ? `127.0.0.1:${address.port}` : address.path
}

function accepts(address: Address): Promise<boolean> {
  return new Promise(resolve => {
    const socket = 'port' in address ? connect(address.port, '127.0.0.1') : connect(address.path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
