/**
 * What a directive of nutcracker.yml is: the type of the rows of `directives.ts`. Primary thread.
 */

import type { PoolConfig } from '../shared/config.ts'

/** The fields of a pool that have a default. */
export type PoolSettings = Omit<PoolConfig, 'name' | 'listen' | 'servers'>

interface DirectiveBase {
  readonly key: string
  /** true: pistachio's own key, which nutcracker rejects as unknown. */
  readonly own: boolean
  readonly help: string
}

export interface NumberDirective extends DirectiveBase {
  readonly type: 'number'
  readonly field: keyof PoolSettings
  /** What is counted: `ms`, `s`, `bytes`, `requests`, … */
  readonly unit: string
  readonly min: number
  readonly max: number
  /** Also accepted when it is less than `min`. */
  readonly default: number
}

export interface BoolDirective extends DirectiveBase {
  readonly type: 'bool'
  readonly field: keyof PoolSettings
  readonly default: boolean
}

export interface NameDirective extends DirectiveBase {
  readonly type: 'name'
  readonly field: keyof PoolSettings
  readonly names: readonly string[]
  readonly default: string
}

/** Any text that is not empty. The default '' means none. */
export interface TextDirective extends DirectiveBase {
  readonly type: 'text'
  readonly field: keyof PoolSettings
  readonly default: ''
}

/** Exactly two bytes. */
export interface HashTagDirective extends DirectiveBase {
  readonly type: 'hash-tag'
  readonly field: 'hashTag'
  readonly default: null
}

export interface RequiredDirective extends DirectiveBase {
  readonly type: 'listen' | 'servers'
  readonly field: 'listen' | 'servers'
}

export type SettingDirective = NumberDirective | BoolDirective | NameDirective | TextDirective | HashTagDirective
export type Directive = SettingDirective | RequiredDirective

export function isSetting(directive: Directive): directive is SettingDirective {
  return directive.type !== 'listen' && directive.type !== 'servers'
}
