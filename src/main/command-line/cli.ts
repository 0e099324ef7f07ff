/**
 * nutcracker's command line: the flags, their defaults, and the texts for `-h`, `-V`, `-D` and for
 * mistakes. Called once by `index.ts` on the primary thread, which prints the texts. Grammar:
 * `getopt.ts`. Texts: `usage.ts`.
 */

import { availableParallelism } from 'node:os'
import { parseExactNumber, parseNumber } from '../../config/number.ts'
import { LOG_LEVEL_DEFAULT, LOG_LEVEL_MAX } from '../../log/level.ts'
import type { LogOptions } from '../../shared/messages.ts'
import { type Mistake, type OptionSpec, parseArguments } from './getopt.ts'
import { DEFAULT_MEMORY_LIMIT, parseMemoryLimit } from './memory-limit.ts'
import { describeStatsText, OWN_USAGE_TEXT, USAGE_TEXT, versionText } from './usage.ts'
import { pistachioVersion } from './version.ts'

/** What the command line asks for. */
export interface Options {
  readonly showHelp: boolean
  readonly showVersion: boolean
  readonly describeStats: boolean
  /** `-t`: check the configuration file and end. */
  readonly testConf: boolean
  /** `--explain-key`: key whose server in each pool is printed; '' = none. */
  readonly explainKey: string
  readonly daemonize: boolean
  /** Log level, 0..11. */
  readonly verbosity: number
  /** '' = stderr. */
  readonly logFile: string
  readonly confFile: string
  /** '' = none. */
  readonly pidFile: string
  /** 1..65535. */
  readonly statsPort: number
  /** Host, or a path that begins with `/` for a unix socket. */
  readonly statsAddr: string
  /** 0 and up. */
  readonly statsIntervalMs: number
  /** 512..16777216; only the limit on key length depends on it. */
  readonly mbufBytes: number
  /** 1..256. */
  readonly workers: number
  readonly logFormat: LogOptions['format']
  /** Limit on buffered requests and replies over all workers, bytes; 0 = none. */
  readonly memoryLimitBytes: number
  /** Upper limit for a graceful shutdown; 0 = end at once. */
  readonly drainTimeoutMs: number
  /** After SIGTERM clients are accepted for this long, so that health checks can notice. */
  readonly drainDelayMs: number
  /** HAProxy's agent check on the stats address; 0 = none. */
  readonly agentCheckPort: number
  /** The agent check reports a weight by load. */
  readonly agentCheckWeight: boolean
}

export type CommandLine =
  /** Run, or with `options.testConf` check the configuration file. */
  | { readonly kind: 'run'; readonly options: Options }
  /**
   * Write `text` to stderr and exit with the code: help, version, statistics (0), or a mistake (1).
   */
  | { readonly kind: 'exit'; readonly text: string; readonly exitCode: 0 | 1 }

const MBUF_MIN_BYTES = 512
const MBUF_MAX_BYTES = 16_777_216
const WORKERS_MAX = 256

type Draft = { -readonly [K in keyof Options]: Options[K] }

interface Option extends OptionSpec {
  /** Kind of its value, for the message when the value is missing; '' when it takes none. */
  readonly wants: '' | 'a number' | 'a string' | 'a file name' | 'a size'
  /** Stores the value. @returns '' or what is wrong with it. */
  readonly set: (draft: Draft, value: string) => string
}

const AGENT_CHECK_PORT = ownNumber('agent-check-port', 1, 65_535, 'agentCheckPort')
const AGENT_CHECK_WEIGHT = flag('', 'agent-check-weight', 'agentCheckWeight')

const OPTIONS: readonly Option[] = [
  flag('h', 'help', 'showHelp'),
  flag('V', 'version', 'showVersion'),
  flag('t', 'test-conf', 'testConf'),
  flag('d', 'daemonize', 'daemonize'),
  flag('D', 'describe-stats', 'describeStats'),
  number('v', 'verbose', (draft, value) => {
    draft.verbosity = Math.min(value, LOG_LEVEL_MAX)
    return ''
  }),
  text('o', 'output', 'a file name', 'logFile'),
  text('c', 'conf-file', 'a file name', 'confFile'),
  number('s', 'stats-port', (draft, value) => {
    draft.statsPort = value
    return value >= 1 && value <= 65535 ? '' : `option -s value ${value} is not a valid port`
  }),
  number('i', 'stats-interval', (draft, value) => {
    draft.statsIntervalMs = value
    return ''
  }),
  text('a', 'stats-addr', 'a string', 'statsAddr'),
  text('p', 'pid-file', 'a file name', 'pidFile'),
  { short: 'm', long: 'mbuf-size', takesValue: true, wants: 'a number', set: setMbufSize },
  ownNumber('workers', 1, WORKERS_MAX, 'workers'),
  { short: '', long: 'log-format', takesValue: true, wants: 'a string', set: setLogFormat },
  { short: '', long: 'memory-limit', takesValue: true, wants: 'a size', set: setMemoryLimit },
  ownNumber('drain-timeout', 0, 0x7fffffff, 'drainTimeoutMs'),
  ownNumber('drain-delay', 0, 0x7fffffff, 'drainDelayMs'),
  AGENT_CHECK_PORT,
  AGENT_CHECK_WEIGHT,
  { short: '', long: 'explain-key', takesValue: true, wants: 'a string', set: setExplainKey },
]

/** Reads the command line. @param args what follows the program's name. Never throws. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const draft = defaults()
  const { given, mistake } = parseArguments(args, OPTIONS)
  for (const { spec, value } of given) {
    const problem = spec.set(draft, value)
    if (problem !== '') return refuse(problem, spec)
  }
  if (mistake !== null) return refuseMistake(mistake)
  if (draft.showHelp || draft.showVersion || draft.describeStats) {
    return { kind: 'exit', text: informationText(draft), exitCode: 0 }
  }
  if (draft.agentCheckPort > 0 && draft.statsAddr.startsWith('/')) {
    return refuse('option --agent-check-port requires a host as stats address, not a path', AGENT_CHECK_PORT)
  }
  if (draft.agentCheckWeight && draft.agentCheckPort === 0) {
    return refuse('option --agent-check-weight requires --agent-check-port', AGENT_CHECK_WEIGHT)
  }
  return { kind: 'run', options: draft }
}

function defaults(): Draft {
  return {
    showHelp: false,
    showVersion: false,
    describeStats: false,
    testConf: false,
    explainKey: '',
    daemonize: false,
    verbosity: LOG_LEVEL_DEFAULT,
    logFile: '',
    confFile: 'conf/nutcracker.yml',
    pidFile: '',
    statsPort: 22222,
    statsAddr: '0.0.0.0',
    statsIntervalMs: 30_000,
    mbufBytes: 16_384,
    workers: Math.min(availableParallelism(), WORKERS_MAX),
    logFormat: 'nutcracker',
    memoryLimitBytes: parseMemoryLimit(DEFAULT_MEMORY_LIMIT),
    drainTimeoutMs: 30_000,
    drainDelayMs: 0,
    agentCheckPort: 0,
    agentCheckWeight: false,
  }
}

/**
 * `-h -D` gives both. pistachio's own version is left out when nutcracker's help or statistics
 * follow.
 */
function informationText(draft: Draft): string {
  const onlyVersion = !draft.showHelp && !draft.describeStats
  const version = versionText(process.platform, onlyVersion ? `pistachio ${pistachioVersion()}` : '')
  const help = draft.showHelp ? USAGE_TEXT + OWN_USAGE_TEXT : ''
  return version + help + (draft.describeStats ? describeStatsText() : '')
}

/**
 * The texts for short options are nutcracker's. For every mistake with a long option nutcracker
 * prints `invalid option -- '` and a NUL; here glibc's own texts are used.
 */
function refuseMistake(mistake: Mistake<Option>): CommandLine {
  switch (mistake.kind) {
    case 'unknown':
      return refuse(`invalid option -- '${mistake.text}'`, null)
    case 'unknown-long':
      return refuse(`unrecognized option '${mistake.text}'`, null)
    case 'ambiguous': {
      const names = mistake.specs.map(spec => `'--${spec.long}'`).join(' ')
      return refuse(`option '${mistake.text}' is ambiguous; possibilities: ${names}`, null)
    }
    case 'unwanted-value':
      return refuse(`option '--${mistake.spec.long}' doesn't allow an argument`, mistake.spec)
    case 'missing-value':
      return refuse(requires(mistake.spec, mistake.spec.wants), mistake.spec)
  }
}

/** @param option the option with the mistake; pistachio's own are explained too. */
function refuse(problem: string, option: Option | null): CommandLine {
  const usage = option?.short === '' ? USAGE_TEXT + OWN_USAGE_TEXT : USAGE_TEXT
  return { kind: 'exit', text: `nutcracker: ${problem}\n${usage}`, exitCode: 1 }
}

function requires(option: OptionSpec, what: string): string {
  return `option ${option.short === '' ? `--${option.long}` : `-${option.short}`} requires ${what}`
}

type KeysOf<Value> = {
  [K in keyof Draft]: Draft[K] extends Value ? (Value extends Draft[K] ? K : never) : never
}[keyof Draft]

function flag(short: string, long: string, key: KeysOf<boolean>): Option {
  const set = (draft: Draft) => {
    draft[key] = true
    return ''
  }
  return { short, long, takesValue: false, wants: '', set }
}

function text(short: string, long: string, wants: 'a string' | 'a file name', key: KeysOf<string>): Option {
  const set = (draft: Draft, value: string) => {
    draft[key] = value
    return ''
  }
  return { short, long, takesValue: true, wants, set }
}

/** A number as nutcracker reads it: digits only, 32 bits that wrap around. */
function number(short: string, long: string, take: (draft: Draft, value: number) => string): Option {
  const set = (draft: Draft, digits: string) => {
    const value = parseNumber(digits)
    return value < 0 ? requires(option, 'a number') : take(draft, value)
  }
  const option: Option = { short, long, takesValue: true, wants: 'a number', set }
  return option
}

function ownNumber(long: string, min: number, max: number, key: KeysOf<number>): Option {
  const set = (draft: Draft, digits: string) => {
    const value = parseExactNumber(digits)
    if (value < min || value > max) return requires(option, `a number from ${min} to ${max}`)
    draft[key] = value
    return ''
  }
  const option: Option = { short: '', long, takesValue: true, wants: 'a number', set }
  return option
}

function setMbufSize(draft: Draft, digits: string): string {
  const value = parseNumber(digits)
  if (value <= 0) return 'option -m requires a non-zero number'
  draft.mbufBytes = value
  const fits = value >= MBUF_MIN_BYTES && value <= MBUF_MAX_BYTES
  return fits ? '' : `mbuf chunk size must be between ${MBUF_MIN_BYTES} and ${MBUF_MAX_BYTES} bytes`
}

function setExplainKey(draft: Draft, value: string): string {
  draft.explainKey = value
  return value === '' ? 'option --explain-key requires a string' : ''
}

function setLogFormat(draft: Draft, value: string): string {
  if (value !== 'nutcracker' && value !== 'json') return 'option --log-format requires nutcracker or json'
  draft.logFormat = value
  return ''
}

function setMemoryLimit(draft: Draft, value: string): string {
  draft.memoryLimitBytes = parseMemoryLimit(value)
  return draft.memoryLimitBytes < 0
    ? 'option --memory-limit requires 0, a size of at least 16m (with k, m or g), or a percentage'
    : ''
}
