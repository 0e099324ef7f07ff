/**
 * Scripts that run and watch nutcracker, with the executable in nutcracker's place: how Debian's and upstream's init scripts and Sentinel's
 * hooks find, start, reload and stop a process. The scripts are in our own words, with the commands that those use.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { scratchFolder, stopAll } from '../../support/processes/child.ts'
import { Executable } from '../../support/processes/executable.ts'
import { freePort } from '../../support/processes/ports.ts'
import { startRedis, type TestServer } from '../../support/processes/servers.ts'
import { waitUntil } from '../../support/wait.ts'
import { encode } from '../../support/wire/resp.ts'
import { Wire } from '../../support/wire/wire.ts'

const SCRIPT_TIMEOUT_MS = 30_000
const isRoot = process.getuid?.() === 0
const hasLsb = existsSync('/lib/lsb/init-functions')

let executable: Executable
let redis: TestServer
let other: TestServer
/** A machine's folders, for one test. */
let folder = ''
let daemon = ''
let port = 0

beforeAll(async () => {
  executable = new Executable()
  redis = await startRedis()
  other = await startRedis()
})
afterAll(async () => {
  await stopAll()
  executable?.remove()
})

beforeEach(async () => {
  folder = scratchFolder()
  for (const name of ['etc', 'run', 'log']) mkdirSync(join(folder, name))
  daemon = executable.install(join(folder, 'usr/sbin/nutcracker'))
  port = await freePort()
  const servers = `  servers:\n    - 127.0.0.1:${redis.port}:1 master\n`
  writeFileSync(join(folder, 'etc/nutcracker.yml'), `pool:\n  listen: 127.0.0.1:${port}\n  redis: true\n${servers}`)
  const options = `-c ${folder}/etc/nutcracker.yml -o ${folder}/log/nutcracker.log -p ${folder}/run/nutcracker.pid`
  writeFileSync(
    join(folder, 'etc/default'),
    `DAEMON_OPTS="${options} -a 127.0.0.1 -s ${await freePort()} --workers=1"\n`,
  )
})
afterEach(async () => {
  for (const pid of pids()) process.kill(pid, 'SIGKILL')
  await waitUntil(() => pids().length === 0, 'the processes of the test to end')
  rmSync(folder, { recursive: true, force: true })
})

interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs shell commands with the variables that init scripts begin with. The daemon must not keep the shell's output open. */
function shell(script: string, ...args: string[]): Outcome {
  const head = `DAEMON=${daemon}\nPIDFILE=${folder}/run/nutcracker.pid\nCONFFILE=${folder}/etc/nutcracker.yml\n. ${folder}/etc/default\n`
  const { status, stdout, stderr } = spawnSync('sh', ['-c', head + script, 'script', ...args], {
    encoding: 'utf8',
    timeout: SCRIPT_TIMEOUT_MS,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    cwd: folder,
  })
  return { status, stdout, stderr }
}

/** Processes whose command line begins with the daemon's path. */
function pids(): number[] {
  const { stdout } = spawnSync('pgrep', ['-f', `^${daemon} `], { encoding: 'utf8' })
  return stdout.split('\n').filter(Boolean).map(Number)
}

async function serves(): Promise<void> {
  await waitUntil(async () => (await ask('PING')) === '+PONG\r\n', 'the proxy to serve')
}

/** @returns '' when nothing listens. */
async function ask(...request: string[]): Promise<string> {
  try {
    const wire = await Wire.open({ port })
    wire.send(encode(...request))
    const [reply] = await wire.redisReplies(1)
    wire.destroy()
    return `${reply}`
  } catch {
    return ''
  }
}

/** Debian's: start-stop-daemon with --exec, and the helpers of LSB that look for the program's path. */
const DEBIAN = `
. /lib/lsb/init-functions
DAEMON_OPTS="$DAEMON_OPTS -d"
case "$1" in
start)
  pidofproc -p $PIDFILE $DAEMON > /dev/null && exit 0
  $DAEMON -t $DAEMON_OPTS 2> /dev/null || exit 1
  start-stop-daemon --quiet --start --pidfile $PIDFILE --exec $DAEMON -- $DAEMON_OPTS ;;
stop)
  start-stop-daemon --quiet --stop --retry 5 --pidfile $PIDFILE --exec $DAEMON ;;
reload)
  start-stop-daemon --quiet --stop --signal \${2:-HUP} --oknodo --pidfile $PIDFILE --exec $DAEMON ;;
status)
  status_of_proc -p $PIDFILE $DAEMON nutcracker ;;
esac`

describe.runIf(hasLsb)('an init script like Debian’s', () => {
  test('starts once, knows that it runs, reloads and stops', async () => {
    expect(shell(DEBIAN, 'status').status).toBe(3)
    expect(shell(DEBIAN, 'start').status).toBe(0)
    await serves()
    const [pid, ...more] = pids()
    expect(more).toEqual([])
    expect(readFileSync(join(folder, 'run/nutcracker.pid'), 'utf8')).toBe(`${pid}`)
    expect(shell(DEBIAN, 'status')).toMatchObject({ status: 0, stdout: 'nutcracker is running.\n' })
    expect(shell(DEBIAN, 'start').status).toBe(0)
    expect(pids()).toEqual([pid])
    expect(shell(DEBIAN, 'reload').status).toBe(0)
    await waitUntil(() => readFileSync(join(folder, 'log/nutcracker.log'), 'utf8').includes('SIGHUP'), 'the signal')
    expect(shell(DEBIAN, 'stop').status).toBe(0)
    expect(pids()).toEqual([])
    expect(shell(DEBIAN, 'stop').status).toBe(1)
    expect(shell(DEBIAN, 'status').status).toBe(3)
  })

  test('does not start with a bad file', () => {
    writeFileSync(join(folder, 'etc/nutcracker.yml'), 'pool:\n  listen: nowhere\n')
    expect(shell(DEBIAN, 'start').status).toBe(1)
    expect(pids()).toEqual([])
  })
})

describe('start-stop-daemon', () => {
  test('--exec alone finds the process, whatever the pid file says', async () => {
    expect(shell('start-stop-daemon --status --exec $DAEMON').status).toBe(3)
    expect(shell('start-stop-daemon --quiet --start --exec $DAEMON -- $DAEMON_OPTS -d').status).toBe(0)
    await serves()
    expect(shell('start-stop-daemon --status --exec $DAEMON').status).toBe(0)
    // Status 1: nothing was done, because it runs already.
    expect(shell('start-stop-daemon --quiet --start --exec $DAEMON -- $DAEMON_OPTS -d').status).toBe(1)
    expect(shell('start-stop-daemon --quiet --stop --retry 5 --exec $DAEMON').status).toBe(0)
    expect(pids()).toEqual([])
  })

  /** Upstream's script for Debian makes the pid file first, as another user where it can, and stops by the program's name. */
  const START = 'touch $PIDFILE; start-stop-daemon --start --quiet --make-pidfile --pidfile $PIDFILE'

  test('--make-pidfile and --name, as upstream’s script has them', async () => {
    expect(shell(`${START} --exec $DAEMON -- $DAEMON_OPTS -d`).status).toBe(0)
    await serves()
    expect(Number(readFileSync(join(folder, 'run/nutcracker.pid'), 'utf8'))).toBe(pids()[0])
    expect(
      shell('start-stop-daemon --stop --quiet --retry TERM/10/KILL/5 --pidfile $PIDFILE --name nutcracker').status,
    ).toBe(0)
    expect(pids()).toEqual([])
  })

  test('--background, for the process without -d', async () => {
    expect(shell('start-stop-daemon --start --quiet --background --exec $DAEMON -- $DAEMON_OPTS').status).toBe(0)
    await serves()
    expect(shell('start-stop-daemon --stop --quiet --retry 5 --exec $DAEMON').status).toBe(0)
    expect(pids()).toEqual([])
  })

  test.runIf(isRoot)('--chuid starts it as another user', async () => {
    spawnSync('chmod', ['-R', 'a+rwX', folder])
    expect(shell('start-stop-daemon --start --quiet --chuid nobody --exec $DAEMON -- $DAEMON_OPTS -d').status).toBe(0)
    await serves()
    expect(spawnSync('ps', ['-o', 'user=', '-p', `${pids()[0]}`], { encoding: 'utf8' }).stdout.trim()).toBe('nobody')
    expect(shell('start-stop-daemon --stop --quiet --retry 5 --user nobody --exec $DAEMON').status).toBe(0)
  })
})

/** Red Hat's helpers in short: they look for the path and the base name of the program. */
const REDHAT = `
running() {
  [ -s $PIDFILE ] && [ -d /proc/$(cat $PIDFILE) ] && [ "$(basename "$(readlink /proc/$(cat $PIDFILE)/exe)")" = nutcracker ]
}
case "$1" in
start)
  running && exit 0
  $DAEMON -d $DAEMON_OPTS > /dev/null 2>&1 ;;
stop)
  kill -TERM $(cat $PIDFILE)
  while running; do sleep 0.1; done
  rm -f $PIDFILE ;;
status)
  running && pidof $DAEMON > /dev/null ;;
esac`

test('an init script like upstream’s for Red Hat starts, finds and stops it', async () => {
  expect(shell(REDHAT, 'status').status).toBe(1)
  expect(shell(REDHAT, 'start').status).toBe(0)
  await serves()
  expect(shell(REDHAT, 'status').status).toBe(0)
  expect(shell(REDHAT, 'stop').status).toBe(0)
  expect(shell(REDHAT, 'status').status).toBe(1)
  expect(pids()).toEqual([])
})

test('monitors find it by its path, its name and its options', async () => {
  shell('$DAEMON -d $DAEMON_OPTS')
  await serves()
  const [pid] = pids()
  expect(shell('pgrep -f "^$DAEMON -d"').stdout).toBe(`${pid}\n`)
  expect(shell('ps -ef | grep "$DAEMON" | grep -v grep | awk "{ print \\$2 }"').stdout).toBe(`${pid}\n`)
  expect(shell('ps -C nutcracker -o pid=').stdout.split(/\s+/)).toContain(`${pid}`)
  expect(shell('pidof nutcracker').stdout.trim().split(' ')).toContain(`${pid}`)
  expect(shell('pidof "$DAEMON"').stdout.trim()).toBe(`${pid}`)
  expect(shell('pgrep -x nutcracker').stdout.split('\n')).toContain(`${pid}`)
  expect(shell('ps -o args= -p $(cat $PIDFILE)').stdout).toMatch(new RegExp(`^${daemon} -d -c `))
})

/** What Sentinel calls with role, state, old and new address: it rewrites the file. */
const REWRITE = 'sed -i "s/127\\.0\\.0\\.1:[0-9]*:1 master/$6:$7:1 master/" $CONFFILE\n'

describe('a client-reconfig script of Sentinel', () => {
  const failOver = (then: string): Outcome =>
    shell(REWRITE + then, 'mymaster', 'leader', 'start', '127.0.0.1', `${redis.port}`, '127.0.0.1', `${other.port}`)

  test.each([
    ['ps, grep and awk', 'pid=$(ps -ef | grep "$DAEMON" | grep -v grep | awk \'{ print $2 }\')'],
    ['pgrep -f', 'pid=$(pgrep -f "^$DAEMON -d")'],
    ['pidof', 'pid=$(pidof $DAEMON)'],
    ['the pid file', 'pid=$(cat $PIDFILE)'],
  ])('that looks by %s has it serve the new master, by restart and by reload', async (_, look) => {
    const key = `written to the new master, ${look}`
    shell('$DAEMON -d $DAEMON_OPTS')
    await serves()
    const [old] = pids()
    const restart = `[ -n "$pid" ] || exit 9; kill $pid; while [ -d /proc/$pid ]; do sleep 0.1; done; $DAEMON -d $DAEMON_OPTS`
    expect(failOver(`${look}\n${restart}`).status).toBe(0)
    await serves()
    expect(pids()).not.toContain(old)
    expect(await ask('SET', key, 'restart')).toBe('+OK\r\n')
    expect(await fromServer(other, key)).toBe('$7\r\nrestart\r\n')
    // Back again, this time with the signal that reads the file.
    const [pid] = pids()
    const back = ['mymaster', 'leader', 'start', '127.0.0.1', `${other.port}`, '127.0.0.1', `${redis.port}`]
    expect(shell(`${REWRITE}${look}\n[ -n "$pid" ] || exit 9; kill -USR1 $pid`, ...back).status).toBe(0)
    await waitUntil(async () => {
      await ask('SET', key, 'reload')
      return (await fromServer(redis, key)) === '$6\r\nreload\r\n'
    }, 'requests to go to the first server again')
    expect(pids()).toEqual([pid])
  })
})

async function fromServer(server: TestServer, key: string): Promise<string> {
  const wire = await Wire.open({ port: server.port })
  wire.send(encode('GET', key))
  const [reply] = await wire.redisReplies(1)
  wire.destroy()
  return `${reply}`
}
