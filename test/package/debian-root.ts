/**
 * A small Debian in a folder, with its own systemd as process 1, network and mounts, so that a package is installed, started and upgraded as on
 * a server. Nothing of it is left when it has stopped: its mounts and processes are in namespaces of its own.
 */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { scratchFolder } from '../support/processes/child.ts'
import { waitUntil } from '../support/wait.ts'

/** What `minbase` lacks of what the package depends on, and what the tests use. */
const PACKAGES = 'adduser,init-system-helpers,libstdc++6,logrotate,procps,redis-server,redis-tools,systemd,systemd-sysv'
const BOOTSTRAP_TIMEOUT_MS = 300_000
const BOOT_TIMEOUT_MS = 60_000
const COMMAND_TIMEOUT_MS = 120_000

/** Where hierarchies of cgroups are mounted: systemd's own, the hybrid form's second one, or the only one. */
const CGROUPS = ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified', '/sys/fs/cgroup']

/** Runs first, so that the cgroups that systemd makes lie below one that can be removed. */
const ENTER = `
name=$1
shift
for hierarchy in ${CGROUPS.join(' ')}; do
  if [ -f "$hierarchy/cgroup.procs" ] && mkdir "$hierarchy/$name"; then
    echo $$ > "$hierarchy/$name/cgroup.procs"
  fi
done
exec "$@"
`

/** Runs in the new namespaces. systemd wants its cgroups, and of /dev only what a container gives it. */
const BOOT = `
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
if grep -q name=systemd /proc/self/cgroup; then
  mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
  mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
  mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
  mount -t cgroup -o none,name=systemd systemd sys/fs/cgroup/systemd
else
  mount -t cgroup2 cgroup2 sys/fs/cgroup
fi
mount -t tmpfs run run
mount -t tmpfs tmp tmp
mount -t tmpfs dev dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
# Not chroot: the paths in /proc must be those that the services see.
mkdir -p .old
pivot_root . .old
cd /
umount -l .old
rmdir .old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
`

/** @returns why there can be no such root on this machine; '' when there can. */
export function noRootBecause(): string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root can make a Debian root'
  for (const program of ['debootstrap', 'unshare', 'nsenter', 'dpkg-deb', 'lintian']) {
    if (spawnSync('which', [program]).status !== 0) return `${program} is missing`
  }
  // A container may forbid what a root needs.
  const namespaces = ['--pid', '--mount', '--uts', '--ipc', '--net', '--cgroup', '--fork']
  const { status, stderr } = spawnSync('unshare', [...namespaces, 'mount', '--make-rprivate', '/'], {
    encoding: 'utf8',
  })
  return status === 0 ? '' : `no namespaces: ${stderr.trim()}`
}

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export class DebianRoot {
  readonly #folder = scratchFolder()
  readonly path = join(this.#folder, 'root')
  #unshare: ChildProcess | null = null
  #init = 0

  /** Takes 25 to 45 s, from the mirror that apt uses; or 3 s, as a copy of the folder that DEBIAN_ROOT names. */
  bootstrap(): void {
    const made = process.env.DEBIAN_ROOT ?? ''
    if (made === '') this.#debootstrap()
    else execFileSync('cp', ['-a', made, this.path])
    // The kernel's settings are this machine's.
    symlinkSync('/dev/null', join(this.path, 'etc/systemd/system/systemd-sysctl.service'))
  }

  #debootstrap(): void {
    const targets = ['indextargets', '--format', '$(REPO_URI) $(CODENAME)', 'Identifier: Packages']
    const [mirror, codename] = execFileSync('apt-get', targets, { encoding: 'utf8' }).split('\n')[0]!.split(' ')
    const args = ['--variant=minbase', `--include=${PACKAGES}`, codename!, this.path, mirror!]
    const { status, stdout } = spawnSync('debootstrap', args, { encoding: 'utf8', timeout: BOOTSTRAP_TIMEOUT_MS })
    if (status !== 0) throw new Error(`debootstrap failed\n${stdout}`)
  }

  /** Resolves when systemd has started what it starts at boot. */
  async boot(): Promise<void> {
    const script = join(this.#folder, 'boot.sh')
    writeFileSync(script, BOOT)
    const namespaces = ['--pid', '--mount', '--uts', '--ipc', '--net', '--cgroup', '--fork', '--kill-child']
    const unshare = ['setpriv', '--pdeathsig', 'KILL', 'unshare', ...namespaces, 'sh', script, this.path]
    this.#unshare = spawn('sh', ['-c', ENTER, 'enter', basename(this.#folder), ...unshare], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const pid = this.#unshare.pid!
    await waitUntil(
      () => {
        this.#init = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim())
        const booted = this.#init > 0 && readFileSync(`/proc/${this.#init}/comm`, 'utf8') === 'systemd\n'
        return booted && /running|degraded/.test(this.run('systemctl', 'is-system-running').stdout)
      },
      'the root to boot',
      BOOT_TIMEOUT_MS,
    )
  }

  run(...command: string[]): Outcome {
    return spawnSync('nsenter', ['-t', `${this.#init}`, '-a', '-r', '-w', ...command], {
      encoding: 'utf8',
      timeout: COMMAND_TIMEOUT_MS,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  /** As `run`. @returns stdout. A command that fails throws, with what it said. */
  must(...command: string[]): string {
    const { status, stdout, stderr } = this.run(...command)
    if (status !== 0) throw new Error(`${command.join(' ')}: exit code ${status}\n${stdout}${stderr}`)
    return stdout.trim()
  }

  /** How to start a program of this machine in the root's network. */
  networkCommand(command: string, ...args: string[]): [string, string[]] {
    return ['nsenter', ['-t', `${this.#init}`, '-n', command, ...args]]
  }

  /** Copies a file into the root. @returns its path there. */
  bring(file: string): string {
    copyFileSync(file, join(this.path, 'root', basename(file)))
    return join('/root', basename(file))
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.path, path), text)
  }

  read(path: string): string {
    return readFileSync(join(this.path, path), 'utf8')
  }

  async stop(): Promise<void> {
    const child = this.#unshare
    if (child !== null && child.exitCode === null) {
      const ended = new Promise(resolve => child.once('exit', resolve))
      process.kill(this.#init, 'SIGKILL')
      await ended
      for (const hierarchy of CGROUPS) {
        const group = join(hierarchy, basename(this.#folder))
        // Only rmdir removes a cgroup, the innermost first.
        spawnSync('find', [group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';'], { stdio: 'ignore' })
      }
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** A package of that name with one executable file. @returns its path. */
export function tinyPackage(folder: string, name: string, file: string): string {
  const tree = join(folder, name)
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true })
  mkdirSync(join(tree, file, '..'), { recursive: true })
  writeFileSync(join(tree, file), '#!/bin/sh\necho tiny\n', { mode: 0o755 })
  const control = `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: Test <t@example.org>\nDescription: test\n`
  writeFileSync(join(tree, 'DEBIAN/control'), control)
  execFileSync('dpkg-deb', ['--root-owner-group', '--build', tree, `${tree}.deb`], { stdio: 'ignore' })
  return `${tree}.deb`
}
