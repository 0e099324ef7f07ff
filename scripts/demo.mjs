/**
 * `npm start`: three real redis-servers on loopback, the proxy in front of them, and a few commands to try. Ctrl-C (or
 * SIGTERM) stops all of them. PORT and STATS_PORT set other ports. Plain JavaScript for Node 20; the launcher finds the proxy's own Node.
 */

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ensurePrograms } from './test-servers.mjs'

const LAUNCHER = fileURLToPath(new URL('../bin/pistachio', import.meta.url))
const HOST = '127.0.0.1'
const REDIS_SERVERS = 3
const START_TIMEOUT_MS = 10_000
const DRAIN_TIMEOUT_MS = 2_000
/** Time between SIGTERM and SIGKILL. */
const STOP_TIMEOUT_MS = 5_000
const POLL_MS = 20
const ORPHAN_CHECK_MS = 500
const ECHO_MS = 1_000

/** A problem that the user can solve: printed without a stack. */
class DemoError extends Error {}

/** A program that the demo runs, in a process group of its own: Ctrl-C reaches only the demo, which stops the programs in order. */
class Program {
  #child
  #ended = false

  /** @param {string} name for messages @param {string} logPath its log file, or '' */
  constructor(name, command, args, logPath) {
    this.name = name
    this.logPath = logPath
    const stdio = ['ignore', logPath === '' ? 'inherit' : 'ignore', 'inherit']
    this.#child = spawn(command, args, { stdio, detached: true })
    this.exited = new Promise(resolve => {
      this.#child.once('error', error => resolve(error.message))
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
    }).then(reason => {
      this.#ended = true
      return reason
    })
  }

  get alive() {
    return !this.#ended
  }

  async stop() {
    this.signal('SIGTERM')
    const kill = setTimeout(() => this.signal('SIGKILL'), STOP_TIMEOUT_MS)
    await this.exited
    clearTimeout(kill)
  }

  signal(signal) {
    if (this.alive) this.#child.kill(signal)
  }

  /** One message with the reason and the last lines of the log. */
  async obituary() {
    const reason = await this.exited
    const log = existsSync(this.logPath)
      ? readFileSync(this.logPath, 'utf8').trim().split('\n').slice(-3).join('\n  ')
      : ''
    return `${this.name} ended (${reason})${log === '' ? '' : `:\n  ${log}`}`
  }
}

const programs = []
let ending = false
let endingSinceMs = 0
let folder = ''
let reportDeath
/** Rejects as soon as a program has ended that was not asked to. */
const death = new Promise((_, reject) => {
  reportDeath = reject
})

function run(name, command, args, logPath) {
  const program = new Program(name, command, args, logPath)
  programs.push(program)
  program.exited.then(async () => {
    if (!ending) reportDeath(new DemoError(await program.obituary()))
  })
}

/** The proxy first, so that it answers the requests in flight while its servers still run. */
async function stopAll() {
  for (const program of programs.toReversed()) await program.stop()
  removeFolder()
}

function killAll() {
  for (const program of programs) program.signal('SIGKILL')
  removeFolder()
}

function removeFolder() {
  if (folder !== '') rmSync(folder, { recursive: true, force: true })
}

async function start() {
  const port = portFrom('PORT', 22121)
  const statsPort = portFrom('STATS_PORT', 22222)
  const problem = ensurePrograms('demo')
  if (problem !== '') throw new DemoError(problem)
  await mustBeFree(port, 'PORT')
  await mustBeFree(statsPort, 'STATS_PORT')
  folder = mkdtempSync(join(tmpdir(), 'pistachio-demo-'))

  const redisPorts = await freePorts(REDIS_SERVERS)
  for (const redisPort of redisPorts) startRedis(redisPort)
  for (const redisPort of redisPorts) await answersPing(redisPort)

  const confPath = join(folder, 'nutcracker.yml')
  writeFileSync(confPath, configuration(port, redisPorts))
  const flags = ['-c', confPath, '-a', HOST, '-s', `${statsPort}`, '--drain-timeout', `${DRAIN_TIMEOUT_MS}`]
  run('pistachio', LAUNCHER, flags, '')
  await answersPing(port)
  console.log(welcome(port, statsPort, redisPorts, confPath))
}

function startRedis(port) {
  const logPath = join(folder, `redis-${port}.log`)
  const network = ['--bind', HOST, '--port', `${port}`]
  const storage = ['--save', '', '--appendonly', 'no', '--dir', folder, '--logfile', logPath]
  run(`redis-server on port ${port}`, 'redis-server', [...network, ...storage], logPath)
}

function configuration(port, redisPorts) {
  const servers = redisPorts.map((redisPort, index) => `    - ${HOST}:${redisPort}:1 redis${index + 1}\n`).join('')
  return `demo:\n  listen: ${HOST}:${port}\n  redis: true\n  auto_eject_hosts: true\n  servers:\n${servers}`
}

function welcome(port, statsPort, redisPorts, confPath) {
  const commands = [
    [`redis-cli -p ${port} set greeting hello`, 'one key, on one of the three servers'],
    [`redis-cli -p ${port} mset a 1 b 2 c 3`, 'many keys, on all of them'],
    [`redis-cli -p ${port} mget a b c`, ''],
    [`redis-cli -p ${redisPorts[0]} keys '*'`, 'what the first server holds'],
    [`redis-benchmark -p ${port} -t set,get -P 16 -q`, ''],
    [`node -e "net.connect(${statsPort}).pipe(process.stdout)"`, 'the statistics, as JSON'],
  ]
  const lines = commands.map(([command, meaning]) => `  ${command.padEnd(54)}${meaning}`.trimEnd())
  return `
pistachio listens on ${HOST}:${port}, in front of redis-servers on ports ${redisPorts.join(', ')}.

${lines.join('\n')}

Configuration: ${confPath}
Ctrl-C ends everything.
`
}

function portFrom(variable, preset) {
  const text = process.env[variable] ?? `${preset}`
  const port = Number(text)
  if (/^\d+$/.test(text) && port >= 1 && port <= 65535) return port
  throw new DemoError(`${variable}=${text} is not a port: a number from 1 to 65535`)
}

async function mustBeFree(port, variable) {
  const server = createServer()
  try {
    await listening(server, port)
  } catch (error) {
    if (error.code !== 'EADDRINUSE') throw new DemoError(`Port ${port} cannot be used: ${error.message}`)
    throw new DemoError(
      `Port ${port} is taken: end the program that has it, or choose another with ${variable}=<port> npm start`,
    )
  } finally {
    server.close()
  }
}

/** All are open at once, so that they differ. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(servers.map(server => listening(server, 0)))
  const ports = servers.map(server => server.address().port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

function listening(server, port) {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, HOST, resolve)
  })
}

async function answersPing(port) {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await ping(port))) {
    if (Date.now() > deadline) throw new DemoError(`Nothing answers on port ${port} after ${START_TIMEOUT_MS} ms`)
    await delay(POLL_MS)
  }
}

function ping(port) {
  return new Promise(resolve => {
    const socket = connect(port, HOST, () => socket.write('*1\r\n$4\r\nPING\r\n'))
    socket.setTimeout(1_000, () => socket.destroy())
    socket.once('data', data => {
      resolve(data.toString('latin1').startsWith('+PONG'))
      socket.destroy()
    })
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
  })
}

/**
 * Resolves at a signal, or when npm has exited without sending one. A second signal ends the demo at once, unless it follows
 * immediately: npm forwards the signal that the terminal has sent to all.
 */
function endRequested() {
  return new Promise(resolve => {
    const parent = process.ppid
    const orphaned = () => process.ppid !== parent && resolve()
    if (process.env.npm_lifecycle_event === 'start') setInterval(orphaned, ORPHAN_CHECK_MS).unref()
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => {
        if (!ending) endingSinceMs = Date.now()
        else if (Date.now() - endingSinceMs > ECHO_MS) process.exit(1)
        ending = true
        resolve()
      })
    }
  })
}

process.on('exit', killAll)
try {
  // A program that has died ends the wait for the others.
  await Promise.race([start().then(() => death), death, endRequested()])
} catch (error) {
  console.error(error instanceof DemoError ? error.message : error)
  process.exitCode = 1
}
ending = true
await stopAll()
process.exit()
