/**
 * Entry of the process, on the primary thread: from the command line to the exit code, in
 * nutcracker's order.
 *
 *     options ─▶ log ─▶ daemonize ─▶ signals ─▶ banner ─▶ configuration ─┐
 *     pid file ◀─ stats port ◀─ listeners ◀─ workers ◀─ tables ◀─────────┘
 *
 * The pid file is written last, so that it names a process that serves. Exit codes: 0 after a
 * graceful shutdown, `-h -V -D`, and `-t` with a good file; 1 for everything else.
 */

import { machine, release, type as systemName } from 'node:os'
import { extname } from 'node:path'
import { loadConfig, syntaxLine, testConfigReport } from '../config/load.ts'
import { createLogger, type Logger } from '../log/log.ts'
import type { Config } from '../shared/config.ts'
import { Control } from '../shared/memory-layout.ts'
import { strerror } from '../shared/strerror.ts'
import { type Options, parseCommandLine } from './command-line/cli.ts'
import { NUTCRACKER_VERSION } from './command-line/version.ts'
import { Primary } from './primary.ts'
import { daemonize, NO_REPORT, type StartReport } from './process/daemon.ts'
import { inheritedIgnored } from './process/ignored-signals.ts'
import { checkPidFile, removePidFile, writePidFile } from './process/pid-file.ts'
import { nameProcess } from './process/process-name.ts'
import { installSignals } from './process/signals.ts'

const RUN_LINE =
  'run, rabbit run / dig that hole, forget the sun / and when at last the work is done ' +
  "/ don't sit down / it's time to dig another one"
const DONE_LINE = 'done, rabbit done'

/** The file that a thread runs: .ts when run from source, .js when built, like this file. */
function threadEntry(name: string): URL {
  return new URL(`../${name}${extname(import.meta.filename)}`, import.meta.url)
}

/** One run of the proxy, from the open log to the exit code. */
class ProxyProcess {
  readonly #options: Options
  readonly #log: Logger
  readonly #report: StartReport
  readonly #ignoredSignals = inheritedIgnored()
  readonly #primary: Primary
  #running = false
  /** The reload that is running, or null. A signal during a reload starts another one after it. */
  #reload: Promise<void> | null = null
  #reloadAgain = false

  constructor(options: Options, log: Logger, report: StartReport) {
    this.#options = options
    this.#log = log
    this.#report = report
    this.#primary = new Primary({
      workers: options.workers,
      mbufBytes: options.mbufBytes,
      memoryLimitBytes: options.memoryLimitBytes,
      statsAddress: options.statsAddr,
      statsPort: options.statsPort,
      agentCheckPort: options.agentCheckPort,
      agentCheckWeight: options.agentCheckWeight,
      log,
      workerLog: { path: options.logFile, format: options.logFormat },
      workerEntry: threadEntry('worker/index'),
      tableTaskEntry: threadEntry('routing/ring-table-task'),
      onFatal: reason => this.#fatal('the proxy cannot continue', reason),
    })
  }

  async run(): Promise<void> {
    const { pidFile } = this.#options
    process.on('uncaughtException', error => this.#fatal('uncaught exception', error))
    process.on('unhandledRejection', reason => this.#fatal('unhandled rejection', asError(reason)))
    installSignals({
      log: this.#log,
      logFile: this.#options.logFile,
      ignored: this.#ignoredSignals,
      onReopenLog: () => this.#primary.reopenLogs(),
      onReload: () => this.#onReload(),
      onDrain: () => this.#onDrain(),
      onExit: () => this.#exit(1),
    })
    const problem = pidFile === '' ? '' : checkPidFile(pidFile)
    if (problem !== '') {
      this.#log.error(problem)
      this.#report.failed(problem)
      this.#exit(1)
    }
    this.#primary.prepare()
    const system = `${systemName()} ${release()} ${machine()}`
    this.#log.banner(`nutcracker-${NUTCRACKER_VERSION} built for ${system} started on pid ${process.pid}`)
    this.#log.banner(RUN_LINE)
    const config = await this.#load()
    if (config === null) this.#exit(1)
    try {
      await this.#primary.start(config, () => this.#claimPidFile())
    } catch (error) {
      const { message, cause } = asError(error)
      this.#log.error(message, cause instanceof Error && isOurs(cause) ? cause : null)
      this.#report.failed(message)
      this.#exit(1)
    }
    this.#running = true
    this.#report.serving()
  }

  #claimPidFile(): void {
    const { pidFile } = this.#options
    const problem = pidFile === '' ? '' : writePidFile(pidFile)
    if (problem !== '') throw new Error(problem)
  }

  /** @returns null when the file is not valid; the log has the reason. */
  async #load(): Promise<Config | null> {
    const { confFile } = this.#options
    const result = await loadConfig(confFile)
    if (result.ok) return result.config
    for (const line of result.lines) this.#log.error(line)
    this.#log.error(`conf: ${result.reason}`)
    if (result.opened) process.stderr.write(`${syntaxLine(confFile, false)}\n`)
    this.#report.failed([result.reason, ...(result.opened ? [syntaxLine(confFile, false)] : [])].join('\n'))
    return null
  }

  #onReload(): void {
    if (!this.#running) return
    if (this.#reload !== null) {
      this.#reloadAgain = true
      return
    }
    this.#reload = this.#reloadOnce().finally(() => {
      this.#reload = null
      if (!this.#reloadAgain) return
      this.#reloadAgain = false
      this.#onReload()
    })
  }

  async #reloadOnce(): Promise<void> {
    const config = await this.#load()
    if (config === null) {
      this.#log.error('reload: the file is not valid; nothing has changed')
      return
    }
    try {
      await this.#primary.reload(config)
    } catch (error) {
      this.#log.error(`reload: ${asError(error).message}; nothing has changed`)
    }
  }

  #onDrain(): void {
    if (!this.#running) this.#exit(0)
    this.#running = false
    const { drainTimeoutMs, drainDelayMs } = this.#options
    this.#primary.drain(drainTimeoutMs, drainDelayMs).then(
      () => this.#exit(0),
      (error: unknown) => this.#fatal('draining failed', asError(error)),
    )
  }

  #fatal(what: string, reason: Error): never {
    this.#log.alert(what, reason)
    this.#report.failed(`${what}: ${reason.message}`)
    this.#exit(1)
  }

  #exit(code: 0 | 1): never {
    // An error from here on must not call this method again.
    process.removeAllListeners('uncaughtException')
    this.#primary.abort()
    if (this.#options.pidFile !== '') removePidFile(this.#options.pidFile)
    this.#log.banner(DONE_LINE)
    process.exit(code)
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}

/** Whether an error's stack is worth a line: for a system error its name is enough. */
function isOurs(error: Error): boolean {
  return !('code' in error)
}

/** Opens the log, or ends the process. */
function openLog(options: Options): Logger {
  // Shared memory, which holds the level later, exists only once there is a configuration.
  const control = new Int32Array(Control.logLevel + 1)
  control[Control.logLevel] = options.verbosity
  try {
    return createLogger({ path: options.logFile, format: options.logFormat, control, component: 'main' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    process.stderr.write(`opening log file '${options.logFile}' failed: ${strerror(code ?? String(error))}\n`)
    process.exit(1)
  }
}

/** `--explain-key`: prints one line for each pool to stdout and exits. */
async function explain(confFile: string, key: string): Promise<never> {
  const result = await loadConfig(confFile)
  if (!result.ok) {
    process.stderr.write(`${confFile}: ${result.reason}\n`)
    process.exit(1)
  }
  const { explainKey } = await import('../routing/explain.ts')
  for (const pool of result.config.pools) {
    const { server, hash } = explainKey(pool, Buffer.from(key))
    const target = server === null ? 'any server (random)' : `server '${server.name}' (${server.pname})`
    process.stdout.write(`${pool.name}: key '${key}' has hash ${hash}: ${target}\n`)
  }
  process.exit(0)
}

async function main(): Promise<void> {
  const commandLine = parseCommandLine(process.argv.slice(2))
  if (commandLine.kind === 'exit') {
    process.stderr.write(commandLine.text)
    process.exit(commandLine.exitCode)
  }
  const { options } = commandLine
  nameProcess()
  if (options.testConf) {
    const report = testConfigReport(await loadConfig(options.confFile), options.confFile)
    process.stderr.write(report.stderr)
    process.exit(report.exitCode)
  }
  if (options.explainKey !== '') await explain(options.confFile, options.explainKey)
  const log = openLog(options)
  let report = NO_REPORT
  if (options.daemonize) {
    const outcome = await daemonize()
    if (outcome.role === 'foreground') process.exit(0)
    if (outcome.role === 'failed') {
      process.stderr.write(`${outcome.message}\n`)
      process.exit(1)
    }
    report = outcome.report
  }
  await new ProxyProcess(options, log, report).run()
}

void main()
