/**
 * The texts of `-V`, `-h` and `-D`. nutcracker's texts are kept byte for byte, with its mixture of
 * CR LF and LF, because scripts compare them. pistachio's follow: a third line in the version block
 * of `-V`, where a nutcracker built with assertions has one too (programs read the first line), and
 * a section of the help. Pure functions; for `cli.ts`.
 */

import { POOL_FIELDS, SERVER_FIELDS, type StatField } from '../../shared/stat-fields.ts'
import { NUTCRACKER_VERSION } from './version.ts'

/** @param ownLine third line, about pistachio; or ''. */
export function versionText(platform: NodeJS.Platform, ownLine: string): string {
  const own = ownLine === '' ? '' : `${ownLine}\n`
  return `This is nutcracker-${NUTCRACKER_VERSION}\nasync event backend: ${eventBackend(platform)}\n${own}\n`
}

export const USAGE_TEXT = [
  'Usage: nutcracker [-?hVdDt] [-v verbosity level] [-o output file]\r\n',
  '                  [-c conf file] [-s stats port] [-a stats addr]\r\n',
  '                  [-i stats interval] [-p pid file] [-m mbuf size]\r\n',
  '\n',
  'Options:\r\n',
  '  -h, --help             : this help\r\n',
  '  -V, --version          : show version and exit\r\n',
  '  -t, --test-conf        : test configuration for syntax errors and exit\r\n',
  '  -d, --daemonize        : run as a daemon\r\n',
  '  -D, --describe-stats   : print stats description and exit\n',
  '  -v, --verbose=N        : set logging level (default: 5, min: 0, max: 11)\r\n',
  '  -o, --output=S         : set logging file (default: stderr)\r\n',
  '  -c, --conf-file=S      : set configuration file (default: conf/nutcracker.yml)\r\n',
  '  -s, --stats-port=N     : set stats monitoring port (default: 22222)\r\n',
  '  -a, --stats-addr=S     : set stats monitoring ip (default: 0.0.0.0)\r\n',
  '  -i, --stats-interval=N : set stats aggregation interval in msec (default: 30000 msec)\r\n',
  '  -p, --pid-file=S       : set pid file (default: off)\r\n',
  '  -m, --mbuf-size=N      : set size of mbuf chunk in bytes (default: 16384 bytes)\r\n',
  '\n',
].join('')

/** What `-h` adds, and what a mistake in one of these options shows after the usage. */
export const OWN_USAGE_TEXT = [
  'Options that nutcracker does not have:\n',
  '      --workers=N        : set number of worker threads (default: one per core, min: 1, max: 256)\n',
  '      --log-format=S     : set format of log lines: nutcracker or json (default: nutcracker)\n',
  '      --memory-limit=S   : set memory limit for buffered requests and replies: ' +
    'bytes, k, m, g or %, 0 for none (default: 50%)\n',
  '      --drain-timeout=N  : set upper limit for a graceful shutdown in msec (default: 30000 msec)\n',
  '      --drain-delay=N    : set time after SIGTERM in which clients are still accepted in msec (default: 0 msec)\n',
  '      --agent-check-port=N : set port of the HAProxy agent check, on the stats addr (default: off)\n',
  '      --agent-check-weight : report a weight by load in the agent check; ' +
    'needs HAProxy weights of 20 or more (default: off)\n',
  '      --explain-key=S    : print the server of a key for each pool, and exit\n',
  '\n',
].join('')

/** nutcracker's statistics only: each block aligned to its longest name. */
export function describeStatsText(): string {
  return `pool stats:\n${describe(POOL_FIELDS)}\nserver stats:\n${describe(SERVER_FIELDS)}`
}

function describe(fields: readonly StatField[]): string {
  const shown = fields.filter(field => !field.own)
  const width = Math.max(...shown.map(field => field.name.length))
  return shown.map(field => `  ${field.name.padEnd(width)}  "${field.description}"\n`).join('')
}

function eventBackend(platform: NodeJS.Platform): string {
  if (platform === 'linux' || platform === 'android') return 'epoll'
  if (platform === 'darwin' || platform === 'freebsd' || platform === 'openbsd' || platform === 'netbsd')
    return 'kqueue'
  return platform === 'sunos' ? 'event_ports' : 'unknown'
}
