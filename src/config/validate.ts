/**
 * Passes 4 (each directive, in file order) and 5 (each pool, then all pools) in nutcracker's order,
 * and the frozen `Config` that results. Called by `load.ts` on the primary thread.
 */

import { type Config, type ListenAddress, MAX_SERVERS, type PoolConfig, type ServerConfig } from '../shared/config.ts'
import { isSetting, type PoolSettings, type SettingDirective } from './directive.ts'
import { DIRECTIVE_BY_KEY, defaultSettings } from './directives.ts'
import { BadValue, ConfigError, type Position, quoteValue, showValue } from './errors.ts'
import { parseListen, type Resolve } from './listen.ts'
import { nearestKey } from './nearest-key.ts'
import { parseExactNumber, parseNumber } from './number.ts'
import type { ScalarNode } from './parse.ts'
import { parseServer } from './server-entry.ts'
import type { Entry, PoolEntries } from './structure.ts'

/** A pool while its entries are read. */
interface PoolDraft {
  readonly name: string
  readonly at: Position
  /** Where each key was first set. */
  readonly seen: Map<string, Position>
  readonly settings: Partial<Record<keyof PoolSettings, PoolSettings[keyof PoolSettings]>>
  readonly servers: (ServerConfig & { readonly at: Position })[]
  listen: ListenAddress | null
}

/**
 * @param file name of the file, for nutcracker's messages.
 * @throws ConfigError for the first thing that is wrong.
 */
export async function validate(pools: readonly PoolEntries[], file: string, resolve: Resolve): Promise<Config> {
  const drafts: PoolDraft[] = []
  for (const pool of pools) drafts.push(await readPool(pool, resolve))
  const configs = drafts.map(finishPool)
  checkListenTexts(drafts)
  checkPoolNames(drafts, file)
  return Object.freeze({ pools: Object.freeze(configs.sort(byName)) })
}

/** nutcracker's order: the shorter one first, then by bytes. @testOnly */
export function compareNames(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return compareNames(a.name, b.name)
}

async function readPool(pool: PoolEntries, resolve: Resolve): Promise<PoolDraft> {
  refuseEmpty(pool.name)
  const draft: PoolDraft = {
    name: pool.name.value,
    at: pool.name.at,
    seen: new Map(),
    settings: {},
    servers: [],
    listen: null,
  }
  for (const entry of pool.entries) {
    refuseEmpty(entry.key)
    refuseEmpty(entry.value)
    await readEntry(draft, entry, resolve)
  }
  return draft
}

/** nutcracker rejects these without a log line. */
function refuseEmpty(scalar: ScalarNode): void {
  if (scalar.value === '') throw new ConfigError([], scalar.at, 'an empty value; write one, or remove the line')
}

async function readEntry(draft: PoolDraft, { key, value }: Entry, resolve: Resolve): Promise<void> {
  const directive = DIRECTIVE_BY_KEY.get(key.value)
  if (directive === undefined) throw unknownKey(key)
  const first = draft.seen.get(key.value)
  try {
    if (directive.type === 'servers') {
      draft.servers.push({ ...parseServer(value.value), at: value.at })
      return
    }
    if (first !== undefined)
      throw new BadValue('is a duplicate', `line ${first.line} sets it already; remove one of them`)
    draft.seen.set(key.value, key.at)
    if (isSetting(directive)) draft.settings[directive.field] = parseSetting(directive, value.value)
    else draft.listen = await parseListen(value.value, resolve)
  } catch (error) {
    if (error instanceof BadValue) throw wrongDirective(key.value, value, error)
    throw error
  }
}

function unknownKey(key: ScalarNode): ConfigError {
  const nearest = nearestKey(key.value)
  const remedy = nearest === null ? 'remove it, or see the README for all keys' : `did you mean "${nearest}"?`
  return new ConfigError(
    [`conf: directive "${showValue(key.value)}" is unknown`],
    key.at,
    `directive ${quoteValue(key.value)} is unknown; ${remedy}`,
  )
}

function wrongDirective(key: string, value: ScalarNode, error: BadValue): ConfigError {
  // A password must not be logged.
  const shown = key === 'redis_auth' ? '' : `: ${quoteValue(value.value)}`
  return new ConfigError(
    [...error.before, `conf: directive "${key}" ${error.message}`],
    value.at,
    `directive "${key}" ${error.message}${shown}; ${error.remedy}${continued(value)}`,
  )
}

/**
 * For YAML, two lines that were meant as two values are one value if the second is indented
 * further.
 */
function continued({ continuedAt }: ScalarNode): string {
  if (continuedAt === null) return ''
  const { line, column } = continuedAt
  return ` (line ${line} is read as part of it because it is indented further: column ${column})`
}

/** @throws BadValue */
function parseSetting(directive: SettingDirective, value: string): PoolSettings[keyof PoolSettings] {
  switch (directive.type) {
    case 'number': {
      const special = directive.default < directive.min ? `${directive.default}, or ` : ''
      const range = `digits only, ${special}from ${directive.min} to ${directive.max} (${directive.unit})`
      const number = directive.own ? parseExactNumber(value) : parseNumber(value)
      if (number === -1) throw new BadValue('is not a number', `write ${range}`)
      // nutcracker checks the range of its own numbers later, in pass 5.
      if (directive.own && number !== directive.default && (number < directive.min || number > directive.max)) {
        throw new BadValue(`is not between ${directive.min} and ${directive.max}`, `write ${range}`)
      }
      return number
    }
    case 'bool':
      if (value !== 'true' && value !== 'false') throw new BadValue('is not "true" or "false"', 'write true or false')
      return value === 'true'
    case 'name':
      if (!directive.names.includes(value)) {
        throw new BadValue(`is not a valid ${directive.key}`, `write one of ${directive.names.join(', ')}`)
      }
      return value as PoolSettings['hash' | 'distribution']
    case 'hash-tag':
      if (value.length !== 2) {
        throw new BadValue(
          'is not a valid hash tag string with two characters',
          'write two characters in quotes, for instance "{}"',
        )
      }
      return Object.freeze([value.charCodeAt(0), value.charCodeAt(1)] as const)
    case 'text':
      return value
  }
}

/** Pass 5 for one pool. */
function finishPool(draft: PoolDraft): PoolConfig {
  if (draft.listen === null) {
    throw new ConfigError(
      ['conf: directive "listen:" is missing'],
      draft.at,
      missing(draft, 'listen', 'listen: 127.0.0.1:22121'),
    )
  }
  const settings = { ...defaultSettings(), ...draft.settings } as PoolSettings
  if (settings.serverConnections === 0) {
    throw new ConfigError(
      ['conf: directive "server_connections:" cannot be 0'],
      draft.seen.get('server_connections')!,
      'directive "server_connections" cannot be 0; write 1 or more, or remove the line',
    )
  }
  if (settings.redisAuth !== '' && !settings.redis) {
    throw new ConfigError(
      ['conf: directive "redis_auth:" is only valid for a redis pool'],
      draft.seen.get('redis_auth')!,
      'directive "redis_auth" is only valid for a redis pool; add "redis: true", or remove the line',
    )
  }
  return Object.freeze({
    ...settings,
    databases: finishDatabases(draft, settings),
    serverFailureLimit: Math.max(1, settings.serverFailureLimit),
    name: draft.name,
    listen: Object.freeze(draft.listen),
    servers: finishServers(draft),
  })
}

/**
 * Number of databases that clients see: 1 in a `strict` pool, which has no SELECT, and in a pool
 * with `redis_db`, whose database clients see as 0.
 */
function finishDatabases(draft: PoolDraft, { databases, strict, redisDb, redis }: PoolSettings): number {
  const at = draft.seen.get('databases')
  if (!redis || databases === 1 || (!strict && redisDb === 0)) return databases
  if (at === undefined) return 1
  const other = strict ? 'strict' : 'redis_db'
  throw new ConfigError(
    [`conf: directive "databases:" cannot be above 1 with "${other}"`],
    at,
    `directive "databases" cannot be above 1 with "${other}"; write 1, or remove one of the two lines`,
  )
}

function missing(draft: PoolDraft, key: string, example: string): string {
  return `pool ${quoteValue(draft.name)} has no "${key}"; add one, for instance "${example}"`
}

function finishServers(draft: PoolDraft): readonly ServerConfig[] {
  if (draft.servers.length === 0) {
    const reason = missing(draft, 'servers', '- 127.0.0.1:6379:1')
    throw new ConfigError([`conf: pool '${showValue(draft.name)}' has no servers`], draft.at, reason)
  }
  if (draft.servers.length > MAX_SERVERS) {
    const problem = `pool '${showValue(draft.name)}' has more than ${MAX_SERVERS} servers`
    throw new ConfigError([`conf: ${problem}`], draft.servers[MAX_SERVERS]!.at, `${problem}; split it`)
  }
  const sorted = draft.servers.sort(byName)
  const twin = sorted.findIndex((server, index) => sorted[index + 1]?.name === server.name)
  if (twin !== -1) {
    const { name, at } = sorted[twin]!
    throw new ConfigError(
      [`conf: pool '${showValue(draft.name)}' has servers with same name '${showValue(name)}'`],
      sorted[twin + 1]!.at,
      `a second server with the name ${quoteValue(name)}, after the one on line ${at.line}; ` +
        'give one of them a name of its own',
    )
  }
  return Object.freeze(sorted.map(({ at: _at, ...server }) => Object.freeze(server)))
}

function checkListenTexts(drafts: readonly PoolDraft[]): void {
  const sorted = drafts.toSorted((a, b) => compareNames(a.listen!.text, b.listen!.text))
  for (let index = 1; index < sorted.length; index++) {
    const [first, second] = [sorted[index - 1]!, sorted[index]!]
    const text = first.listen!.text
    if (text !== second.listen!.text) continue
    throw new ConfigError(
      [showValue(`conf: pools '${first.name}' and '${second.name}' have the same listen address '${text}'`)],
      second.seen.get('listen')!,
      `the same listen address as pool ${quoteValue(first.name)} on line ${first.at.line}: ${quoteValue(text)}; ` +
        'give each pool its own',
    )
  }
}

function checkPoolNames(drafts: readonly PoolDraft[], file: string): void {
  const sorted = drafts.toSorted(byName)
  for (let index = 1; index < sorted.length; index++) {
    const [first, second] = [sorted[index - 1]!, sorted[index]!]
    if (first.name !== second.name) continue
    throw new ConfigError(
      // The missing quote before the name is nutcracker's.
      [`conf: '${file}' has pools with same name ${showValue(first.name)}'`],
      second.at,
      `a second pool with the name ${quoteValue(first.name)}, after the one on line ${first.at.line}; ` +
        'rename one of them',
    )
  }
}
