/**
 * The command line beside the real nutcracker: same text, same exit code, for every flag, every mistake and hundreds of random command lines.
 * Debian's build has three other default paths; nothing else may differ but what we add for ourselves.
 */

import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../../src/main/command-line/cli.ts'
import { OWN_USAGE_TEXT } from '../../../src/main/command-line/usage.ts'
import { Random, runSeed } from '../../support/random.ts'

interface Printed {
  readonly text: string
  readonly exitCode: number | null
}

function nutcracker(args: readonly string[]): Printed {
  const { stdout, stderr, status } = spawnSync('nutcracker', args, { encoding: 'latin1', timeout: 10_000 })
  expect(stdout).toBe('')
  const text = stderr
    .replace('(default: /var/log/nutcracker/nutcracker.log)', '(default: stderr)')
    .replace('(default: /etc/nutcracker/nutcracker.yml)', '(default: conf/nutcracker.yml)')
    .replace('(default: /run/nutcracker/nutcracker.pid)', '(default: off)')
  return { text, exitCode: status }
}

/** For a mistake with a long option nutcracker names nothing, or one letter of it; we name the option. */
function withoutName(text: string): string {
  return text
    .replace(
      /^nutcracker: (?:unrecognized option '.*'|option '.*' is ambiguous; .*)$/m,
      "nutcracker: invalid option -- '\0'",
    )
    .replace(/^nutcracker: option '--(.).*' doesn't allow an argument$/m, "nutcracker: invalid option -- '$1'")
}

/** What we print, without what we add. */
function pistachio(args: readonly string[]): Printed {
  const result = parseCommandLine(args)
  if (result.kind === 'run') throw new Error(`Would run: ${JSON.stringify(args)}`)
  const text = withoutName(result.text.replace(OWN_USAGE_TEXT, '').replace(/^pistachio \S+\n/m, ''))
  return { text, exitCode: result.exitCode }
}

const CASES: readonly (readonly string[])[] = [
  ['-h'],
  ['-V'],
  ['-D'],
  ['-h', '-D'],
  ['-hVD', '-t'],
  ['-t', '-V'],
  ['--help'],
  ['--vers'],
  ['--describe'],
  ['-x'],
  ['-?'],
  ['--x'],
  ['--stats', '1'],
  ['--help=1'],
  ['--daemonize=1'],
  ...[...'ocpavsim'].flatMap(short => [
    [`-${short}`],
    [`-${short}`, '', '-V'],
    [`-${short}`, 'x', '-V'],
    [`-${short}7`, '-V'],
  ]),
  ...['output', 'conf-file', 'pid-file', 'stats-addr', 'verbose', 'stats-port', 'stats-interval', 'mbuf-size'].flatMap(
    long => [[`--${long}`], [`--${long}=`, '-V'], [`--${long}`, '600', '-V'], [`--${long}=-1`, '-V']],
  ),
]

/** Pieces that random command lines are made of: flags whole, cut and bundled, and values around every limit. */
const PIECES = [
  ...[
    '-h',
    '-V',
    '-D',
    '-t',
    '-d',
    '-v',
    '-o',
    '-s',
    '-m',
    '-i',
    '-a',
    '-p',
    '-c',
    '-q',
    '-',
    '--',
    '-tv',
    '-dD',
    '-Vs1',
  ],
  ...[
    '--v',
    '--ve',
    '--verb',
    '--verbose=',
    '--versio',
    '--st',
    '--stats-i',
    '--stats-p=9',
    '--mbuf',
    '--conf=x',
    '--o',
    '--p=',
    '--t',
  ],
  ...['--=', '--h=', '-v=3', '-o-', 'word', '', '0', '1', '12', '511', '512', '65535', '65536', '16777216', '16777217'],
  ...['2147483647', '2147483648', '4294967295', '4294967296', '4294967808', '-1', '+1', '1 ', '0x10', '٣'],
]

describe('beside nutcracker', () => {
  it.each(CASES.map(args => [args]))('%j', args => {
    expect(pistachio(args)).toEqual(nutcracker(args))
  })

  it('random command lines', () => {
    const random = new Random(runSeed())
    for (let round = 0; round < 400; round++) {
      // Led by -V, no command line starts a proxy.
      const args = ['-V', ...Array.from({ length: random.below(5) }, () => random.pick(PIECES))]
      expect(pistachio(args), `seed ${random.seed}: ${JSON.stringify(args)}`).toEqual(nutcracker(args))
    }
  })
})
