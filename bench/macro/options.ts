/** The command line of `npm run bench`. Called by `run.ts`. */

import { parseArgs } from 'node:util'
import {
  CONTENDERS,
  type Contender,
  contenderFromArgument,
  DEFAULT_CONTENDERS,
  SHORT_CONTENDERS,
} from './contenders.ts'
import type { MeasureOptions } from './measure.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'

export interface BenchOptions extends MeasureOptions {
  readonly help: boolean
  readonly list: boolean
  readonly short: boolean
  readonly scenarios: readonly Scenario[]
  readonly contenders: readonly Contender[]
  /** Path for the JSON, '' for none. */
  readonly json: string
  /** Keep the run in bench/results. */
  readonly save: boolean
  readonly writeDocs: boolean
}

export const HELP = `npm run bench -- [options]

Measures proxies over the same servers: direct, nutcracker, pistachio with 1 worker and with one per core.

  --only RE           scenarios whose name matches, for instance --only 'get-p(1|16)$'; --list names them
  --contenders A,B    of: ${CONTENDERS.map(each => each.name).join(', ')}
  --contender N=CMD   one more proxy, as a shell command with {conf} a nutcracker.yml, {port} the port to listen on,
                      {servers} host:port,… of the servers, {stats} a free port, {dir} a scratch folder
  --rounds N          rounds of each scenario (default 3)
  --seconds S         measured seconds of a round (default 2, short 1)
  --warmup S          load on a contender before its first round (default 1, short 0.5)
  --settle S          quiet seconds before the settled memory is read (default 2, short 0.5)
  --seed N            seed of the keys' order (default 1)
  --short             the form for continuous integration: few scenarios; exit 1 if noise cannot explain a ratio
  --json FILE         write the figures
  --save              keep the figures in bench/results for the table of the trend
  --write-docs        --save, and write docs/benchmarks.md, its plot, and the table of speed in README.md
  --list, --help
`

/** @throws with a message for the user when the arguments make no sense. */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string' },
      contenders: { type: 'string' },
      contender: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      warmup: { type: 'string' },
      settle: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'string' },
      short: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      'write-docs': { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { short } = values
  return {
    help: values.help,
    list: values.list,
    short,
    scenarios: chooseScenarios(values.only, short),
    contenders: [...chooseContenders(values.contenders, short), ...(values.contender ?? []).map(contenderFromArgument)],
    rounds: positive('--rounds', values.rounds, 3),
    seconds: positive('--seconds', values.seconds, short ? 1 : 2),
    warmupSeconds: positive('--warmup', values.warmup, short ? 0.5 : 1),
    settleSeconds: positive('--settle', values.settle, short ? 0.5 : 2),
    seed: positive('--seed', values.seed, 1),
    json: values.json ?? '',
    save: values.save || values['write-docs'],
    writeDocs: values['write-docs'],
  }
}

/** A pattern may name scenarios that the short form leaves out. */
function chooseScenarios(only: string | undefined, short: boolean): readonly Scenario[] {
  if (only === undefined) return SCENARIOS.filter(scenario => scenario.short || !short)
  const pattern = new RegExp(only)
  const chosen = SCENARIOS.filter(scenario => pattern.test(scenario.name))
  if (chosen.length === 0) throw new Error(`--only ${only} matches no scenario; --list names them`)
  return chosen
}

function chooseContenders(names: string | undefined, short: boolean): Contender[] {
  const wanted = names?.split(',') ?? (short ? SHORT_CONTENDERS : DEFAULT_CONTENDERS)
  return wanted.map(name => {
    const found = CONTENDERS.find(contender => contender.name === name)
    if (found === undefined)
      throw new Error(`--contenders knows ${CONTENDERS.map(each => each.name).join(', ')}, not "${name}"`)
    return found
  })
}

function positive(option: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text)
  if (!(value > 0)) throw new Error(`${option} wants a number above 0, not "${text}"`)
  return value
}
