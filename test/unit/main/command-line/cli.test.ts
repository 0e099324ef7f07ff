/** The command line, without a process: arguments in, options or text out. `test/integration/operations/cli-parity.test.ts` asks the real nutcracker. */

import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { describe, expect, it } from 'vitest'
import { type Options, parseCommandLine } from '../../../../src/main/command-line/cli.ts'
import { availableMemoryBytes } from '../../../../src/main/command-line/memory-limit.ts'
import { USAGE_TEXT } from '../../../../src/main/command-line/usage.ts'
import { POOL_FIELDS, SERVER_FIELDS } from '../../../../src/shared/stat-fields.ts'

const VERSION_BLOCK = 'This is nutcracker-0.5.0\nasync event backend: epoll\n\n'

function options(...args: string[]): Options {
  const result = parseCommandLine(args)
  if (result.kind !== 'run') throw new Error(`Refused: ${result.text.split('\n')[0]}`)
  return result.options
}

function printed(...args: string[]): { text: string; exitCode: number } {
  const result = parseCommandLine(args)
  if (result.kind !== 'exit') throw new Error(`Accepted: ${args.join(' ')}`)
  return result
}

function complaint(...args: string[]): string {
  const { text, exitCode } = printed(...args)
  expect(exitCode).toBe(1)
  return text.slice(0, text.indexOf('\n'))
}

describe('defaults', () => {
  it('are those of nutcracker built from source, and one worker a core', () => {
    expect(options()).toEqual({
      showHelp: false,
      showVersion: false,
      describeStats: false,
      testConf: false,
      explainKey: '',
      daemonize: false,
      verbosity: 5,
      logFile: '',
      confFile: 'conf/nutcracker.yml',
      pidFile: '',
      statsPort: 22222,
      statsAddr: '0.0.0.0',
      statsIntervalMs: 30_000,
      mbufBytes: 16_384,
      workers: Math.min(availableParallelism(), 256),
      logFormat: 'nutcracker',
      memoryLimitBytes: Math.trunc(availableMemoryBytes() / 2),
      drainTimeoutMs: 30_000,
      drainDelayMs: 0,
      agentCheckPort: 0,
      agentCheckWeight: false,
    })
  })
})

describe('values', () => {
  it.each([
    [['-v', '11'], { verbosity: 11 }],
    [['-v', '500'], { verbosity: 11 }],
    [['-v4294967301'], { verbosity: 5 }],
    [['--verbose=0'], { verbosity: 0 }],
    [['-o', 'x.log'], { logFile: 'x.log' }],
    [['-o', ''], { logFile: '' }],
    [['-c', '-weird.yml'], { confFile: '-weird.yml' }],
    [['-c', '--'], { confFile: '--' }],
    [['-p', 'n.pid'], { pidFile: 'n.pid' }],
    [['-s', '1'], { statsPort: 1 }],
    [['-s', '65535'], { statsPort: 65535 }],
    [['-s', '4294967297'], { statsPort: 1 }],
    [['-i', '0'], { statsIntervalMs: 0 }],
    [['-a', '/run/stats.sock'], { statsAddr: '/run/stats.sock' }],
    [['-m', '00512'], { mbufBytes: 512 }],
    [['-m', '16777216'], { mbufBytes: 16_777_216 }],
    [['-td'], { testConf: true, daemonize: true }],
    [['-dv7', '-oa'], { daemonize: true, verbosity: 7, logFile: 'a' }],
    [['--stats-p', '7'], { statsPort: 7 }],
    [['--workers', '3'], { workers: 3 }],
    [['--workers=256'], { workers: 256 }],
    [['--log-format=json'], { logFormat: 'json' }],
    [['--memory-limit', '0'], { memoryLimitBytes: 0 }],
    [['--memory-limit=16777216'], { memoryLimitBytes: 16_777_216 }],
    [['--memory-limit', '512m'], { memoryLimitBytes: 536_870_912 }],
    [['--memory-limit', '2GB'], { memoryLimitBytes: 2_147_483_648 }],
    [['--memory-limit', '100%'], { memoryLimitBytes: availableMemoryBytes() }],
    [['--drain-timeout', '0'], { drainTimeoutMs: 0 }],
    [['--drain-delay=2000'], { drainDelayMs: 2_000 }],
    [['--agent-check-port', '22225'], { agentCheckPort: 22_225 }],
    [['--agent-check-port', '1', '--agent-check-weight'], { agentCheckPort: 1, agentCheckWeight: true }],
    [['some', '-v', '1', 'thing', '-'], { verbosity: 1 }],
    [['-v', '1', '--', '-v', '2'], { verbosity: 1 }],
    [['-v', '1', '-v', '2'], { verbosity: 2 }],
  ] satisfies [string[], Partial<Options>][])('%j sets %j', (args, expected) => {
    expect(options(...args)).toEqual({ ...options(), ...expected })
  })
})

describe('mistakes', () => {
  it.each([
    [['-x'], "invalid option -- 'x'"],
    [['-?'], "invalid option -- '?'"],
    [['-tx'], "invalid option -- 'x'"],
    [['-Vé'], "invalid option -- 'é'"],
    [['--unknown'], "unrecognized option '--unknown'"],
    [['--unknown=secret'], "unrecognized option '--unknown'"],
    [['--stats'], "option '--stats' is ambiguous; possibilities: '--stats-port' '--stats-interval' '--stats-addr'"],
    [['--help=x'], "option '--help' doesn't allow an argument"],
    [['-o'], 'option -o requires a file name'],
    [['--conf-file'], 'option -c requires a file name'],
    [['-p'], 'option -p requires a file name'],
    [['-a'], 'option -a requires a string'],
    [['-v'], 'option -v requires a number'],
    [['-m'], 'option -m requires a number'],
    [['-v', ''], 'option -v requires a number'],
    [['-v', '-5'], 'option -v requires a number'],
    [['-v', '+5'], 'option -v requires a number'],
    [['-v', ' 5'], 'option -v requires a number'],
    [['-v', '2147483648'], 'option -v requires a number'],
    [['-i', '1s'], 'option -i requires a number'],
    [['-s', 'http'], 'option -s requires a number'],
    [['-s', '0'], 'option -s value 0 is not a valid port'],
    [['-s', '65536'], 'option -s value 65536 is not a valid port'],
    [['-m', '0'], 'option -m requires a non-zero number'],
    [['-m', 'x'], 'option -m requires a non-zero number'],
    [['-m', '511'], 'mbuf chunk size must be between 512 and 16777216 bytes'],
    [['-m', '16777217'], 'mbuf chunk size must be between 512 and 16777216 bytes'],
    [['--workers'], 'option --workers requires a number'],
    [['--workers', '0'], 'option --workers requires a number from 1 to 256'],
    [['--workers', '257'], 'option --workers requires a number from 1 to 256'],
    [['--workers', '4294967297'], 'option --workers requires a number from 1 to 256'],
    [['--log-format', 'xml'], 'option --log-format requires nutcracker or json'],
    [['--agent-check-weight'], 'option --agent-check-weight requires --agent-check-port'],
    [['--agent-check-port', '0'], 'option --agent-check-port requires a number from 1 to 65535'],
    [
      ['--memory-limit', '15m'],
      'option --memory-limit requires 0, a size of at least 16m (with k, m or g), or a percentage',
    ],
    [
      ['--memory-limit', '101%'],
      'option --memory-limit requires 0, a size of at least 16m (with k, m or g), or a percentage',
    ],
    [['--explain-key', ''], 'option --explain-key requires a string'],
    [
      ['-t', '--agent-check-port', '1', '-a', '/tmp/stats'],
      'option --agent-check-port requires a host as stats address, not a path',
    ],
    [['--drain-timeout', '-1'], 'option --drain-timeout requires a number from 0 to 2147483647'],
  ])('%j is refused with "%s"', (args, expected) => {
    expect(complaint(...args)).toBe(`nutcracker: ${expected}`)
  })

  it('stop the reading, so that the first one is reported', () => {
    expect(complaint('-h', '-x', '-y')).toBe("nutcracker: invalid option -- 'x'")
    expect(complaint('-s', '0', '-x')).toBe('nutcracker: option -s value 0 is not a valid port')
    expect(complaint('-x', '-s', '0')).toBe("nutcracker: invalid option -- 'x'")
  })

  it('are followed by the usage and no version block', () => {
    expect(printed('-x').text).toBe(`nutcracker: invalid option -- 'x'\n${USAGE_TEXT}`)
  })

  it('in an option of our own are followed by the help for these options too', () => {
    expect(printed('--workers', '0').text).toContain('  --drain-timeout=N ')
  })
})

describe('information', () => {
  it('-V prints the version block with our own version in its third line', () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8'))
    const text = `This is nutcracker-0.5.0\nasync event backend: epoll\npistachio ${version}\n\n`
    expect(printed('-V')).toEqual({ kind: 'exit', text, exitCode: 0 })
  })

  it('-h prints the version block, the usage and our own options', () => {
    const { text, exitCode } = printed('-h')
    expect(exitCode).toBe(0)
    expect(text.startsWith(VERSION_BLOCK + USAGE_TEXT)).toBe(true)
    for (const name of ['--workers=N', '--log-format=S', '--drain-timeout=N', '--drain-delay=N'])
      expect(text).toContain(`      ${name} `)
  })

  it('-D prints every statistic that nutcracker has and none of ours', () => {
    const { text } = printed('-D')
    expect(text.startsWith(`${VERSION_BLOCK}pool stats:\n  client_eof          "# eof on client connections"\n`)).toBe(
      true,
    )
    for (const field of [...POOL_FIELDS, ...SERVER_FIELDS]) {
      expect(text.includes(`  ${field.name} `)).toBe(!field.own)
    }
  })

  it('-h -D prints the help, then the statistics', () => {
    const { text } = printed('-D', '-h')
    expect(text.indexOf('Usage:')).toBeGreaterThan(0)
    expect(text.indexOf('pool stats:')).toBeGreaterThan(text.indexOf('Usage:'))
  })

  it('wins over -t', () => {
    expect(printed('-t', '-V').exitCode).toBe(0)
  })

  it('ends the lines of the usage as nutcracker does: CR LF but for three', () => {
    const lines = USAGE_TEXT.split('\n').slice(0, -1)
    const plain = lines.filter(line => !line.endsWith('\r'))
    expect(plain).toEqual(['', '  -D, --describe-stats   : print stats description and exit', ''])
  })
})
