/**
 * Mutated configuration files: each gives a configuration or a reason, the same each time. A configuration has every value in its range, is
 * no change against itself, and its routing table can be built.
 */

import { readFileSync } from 'node:fs'
import { diffConfigs } from '../../src/config/diff.ts'
import { isSetting, type NumberDirective } from '../../src/config/directive.ts'
import { DIRECTIVES } from '../../src/config/directives.ts'
import { type ConfigResult, parseConfig } from '../../src/config/load.ts'
import { fillTable, shapeOf, tableInput } from '../../src/routing/ring-table.ts'
import type { PoolConfig } from '../../src/shared/config.ts'
import { SharedLayout } from '../../src/shared/memory-layout.ts'
import { Random } from '../support/random.ts'
import { printable } from '../support/wire/resp.ts'
import { resolveForTests } from '../unit/config/support.ts'
import { Fault } from './fault.ts'
import type { InjectedFault } from './injected-fault.ts'
import { type Case, Fork, type Kind } from './kind.ts'
import { mutate } from './mutate.ts'

const TOKENS = [
  ...['\n', '\t', ' ', ': ', '- ', '? ', '#', '"', "'", '|', '>', '&a', '*a', '!', '{', '}', '[', ']', ',', '%'],
  ...['---\n', '...\n', '\r', '\\', '\0', '\xff', '\xef\xbb\xbf', '\xe2\x80\xa8', '\xc2\x85', 'servers:', '\n\n'],
  ...['true', '-1', '0', '2147483648', '127.0.0.1:1:1', '/a:1', '~', '<<: *a', '!!int ', '\n  ', 'p:\n', '99999999999'],
  ...DIRECTIVES.map(directive => `\n  ${directive.key}: `),
].map(token => Buffer.from(token, 'latin1'))
/** A pool with more servers takes longer to tabulate than it is worth. */
const MOST_SERVERS = 50

function readCorpus(): readonly Buffer[] {
  const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
  const vectors = JSON.parse(read('../vectors/config-cases.json')) as { cases: { yaml: string }[] }
  const measured = JSON.parse(read('../unit/config/libyaml-cases.json')) as { cases: { bytes: string }[] }
  return [
    ...vectors.cases.map(each => Buffer.from(each.yaml)),
    ...measured.cases.map(each => Buffer.from(each.bytes, 'latin1')),
    Buffer.from(read('../../conf/nutcracker.yml')),
  ]
}

export class ConfigKind implements Kind {
  readonly name = 'config'
  readonly share: number
  private readonly corpus = readCorpus()

  constructor(share: number) {
    this.share = share
  }

  make(seed: number): Case {
    const random = new Random(seed).fork(Fork.streams)
    return { seed, streams: [mutate(random, this.corpus, random.pick([1, 1, 1, 2]), TOKENS)] }
  }

  async run(fuzzed: Case, injected: InjectedFault | null): Promise<void> {
    const bytes = fuzzed.streams[0]!
    const result = await parseConfig(bytes, 'F', { resolve: resolveForTests })
    const again = await parseConfig(bytes, 'F', { resolve: resolveForTests })
    if (JSON.stringify(result) !== JSON.stringify(again)) fail(bytes, 'is read in two ways')
    check(bytes, injected?.isWrongResult ? { ok: false, lines: [], reason: 'injected', opened: true } : result)
  }
}

function check(bytes: Buffer, result: ConfigResult): void {
  if (!result.ok) {
    if (!/^F:(\d+:\d+:)? ./.test(result.reason)) fail(bytes, `is refused with '${result.reason}'`)
    return
  }
  const { config } = result
  if (config.pools.length === 0) fail(bytes, 'has no pool')
  for (const pool of config.pools) checkPool(bytes, pool)
  if (!diffConfigs(config, config).unchanged) fail(bytes, 'is a change of itself')
}

function checkPool(bytes: Buffer, pool: PoolConfig): void {
  for (const directive of DIRECTIVES.filter(isSetting)) {
    const value = pool[directive.field]
    const isGood =
      directive.type === 'number'
        ? isInRange(directive, value)
        : directive.type === 'bool'
          ? typeof value === 'boolean'
          : directive.type === 'name'
            ? directive.names.includes(String(value))
            : directive.type === 'text'
              ? typeof value === 'string'
              : value === null || (value as readonly number[]).length === 2
    if (!isGood) fail(bytes, `has ${directive.key} = ${JSON.stringify(value)}`)
  }
  const { listen, servers } = pool
  if ((listen.path === '') === (listen.host === '')) fail(bytes, `listens at ${JSON.stringify(listen)}`)
  if (servers.length === 0) fail(bytes, 'has a pool without a server')
  if (new Set(servers.map(server => server.name)).size !== servers.length) fail(bytes, 'has two servers of one name')
  if (servers.length > MOST_SERVERS) return
  const shape = shapeOf(pool)
  const layout = new SharedLayout(1, [shape])
  const live = servers.map((_, server) => server)
  fillTable(tableInput(pool, live), layout.table(layout.allocate(), 0, 0))
}

function fail(bytes: Buffer, what: string): never {
  throw new Fault('config', `${printable(bytes, 300)} ${what}`)
}

function isInRange({ default: automatic, min, max }: NumberDirective, value: unknown): boolean {
  return value === automatic || (Number.isInteger(value) && Number(value) >= min && Number(value) <= max)
}
