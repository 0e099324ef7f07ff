/**
 * Pass 3: the shape of the file. Walks the document as nutcracker walks libyaml's events, with the
 * same counters and so the same result, and returns pools → entries. Called by `load.ts` on the
 * primary thread.
 */

import { ConfigError, type Position } from './errors.ts'
import type { MappingNode, ScalarNode, SequenceNode, YamlNode } from './parse.ts'

/** One `key: value`, or one element of the list under `key`. */
export interface Entry {
  readonly key: ScalarNode
  readonly value: ScalarNode
}

/** Scalars may still be empty: `validate.ts` checks them in nutcracker's order. */
export interface PoolEntries {
  readonly name: ScalarNode
  /** In file order. */
  readonly entries: readonly Entry[]
}

/** Depth of pools and depth of their keys, in open mappings. */
const POOL_DEPTH = 1
const KEY_DEPTH = 2

/**
 * @param file name of the file, for nutcracker's messages.
 * @throws ConfigError when the shape is not pools → keys → at most one list.
 */
export function readStructure(root: YamlNode, file: string): readonly PoolEntries[] {
  new ShapeCheck(file).node(root)
  return (root as MappingNode).pairs.map(([name, pool]) => ({
    name: name as ScalarNode,
    entries: (pool as MappingNode).pairs.flatMap(([key, value]) => entriesOf(key as ScalarNode, value)),
  }))
}

function entriesOf(key: ScalarNode, value: YamlNode): readonly Entry[] {
  if (value.kind === 'sequence') return value.items.map(item => ({ key, value: item as ScalarNode }))
  return [{ key, value: value as ScalarNode }]
}

/** The value of `servers:` when it is no list. */
function serversOf(pool: MappingNode): YamlNode | undefined {
  return pool.pairs.find(([key]) => key.kind === 'scalar' && key.value === 'servers')?.[1]
}

/**
 * nutcracker's conf_validate_structure: one counter of scalars for each depth, and whether the
 * pool's list has been seen.
 */
class ShapeCheck {
  readonly #file: string
  #depth = 0
  readonly #count = [0, 0, 0]
  #listSeen = false

  constructor(file: string) {
    this.#file = file
  }

  node(node: YamlNode): void {
    if (node.kind === 'mapping') this.#mapping(node)
    else if (node.kind === 'sequence') this.#sequence(node)
    else this.#scalar(node)
  }

  #mapping(node: MappingNode): void {
    if (this.#depth === POOL_DEPTH && this.#count[POOL_DEPTH] !== 1) {
      this.#fail(
        node.at,
        'has more than one "key:value" at depth 1',
        'a mapping where a pool name belongs; write "name:"',
      )
    }
    if (this.#depth >= KEY_DEPTH) {
      this.#fail(
        node.at,
        'has a depth greater than 2',
        'a mapping inside a pool; a key takes one value or one list of values',
      )
    }
    this.#depth++
    for (const [key, value] of node.pairs) {
      this.node(key)
      this.node(value)
    }
    this.#mappingEnd(node)
  }

  #mappingEnd(node: MappingNode): void {
    if (this.#depth === KEY_DEPTH) {
      const remedy = 'a pool without a list; write its servers as "- host:port:weight" lines under "servers:"'
      if (!this.#listSeen) this.#fail(serversOf(node)?.at ?? node.at, 'missing sequence directive at depth 2', remedy)
      this.#listSeen = false
    }
    this.#depth--
    this.#count[this.#depth] = 0
  }

  #sequence(node: SequenceNode): void {
    if (this.#listSeen) {
      this.#fail(
        node.at,
        'has more than one sequence directive',
        'a second list in one pool; only "servers" takes a list',
      )
    }
    if (this.#depth !== KEY_DEPTH) {
      const remedy = 'a list outside a pool; begin with "name:" and indent its keys below it'
      this.#fail(node.at, `has sequence at depth ${this.#depth} instead of 2`, remedy)
    }
    if (this.#count[KEY_DEPTH] !== 1) {
      this.#fail(node.at, 'has invalid "key:value" at depth 2', 'a list where a key belongs; write "servers:" above it')
    }
    this.#listSeen = true
    for (const item of node.items) this.node(item)
    this.#count[KEY_DEPTH] = 0
  }

  #scalar(node: ScalarNode): void {
    if (this.#depth === 0) {
      this.#fail(node.at, 'has invalid empty "key:" at depth 0', 'text instead of pools; begin with "name:"')
    }
    if (this.#depth === POOL_DEPTH && this.#count[POOL_DEPTH] !== 0) {
      this.#fail(
        node.at,
        'has invalid mapping "key:" at depth 1',
        'a pool without keys; indent "listen:" and "servers:" below its name',
      )
    }
    if (this.#depth === KEY_DEPTH && this.#count[KEY_DEPTH] === 2) this.#count[KEY_DEPTH] = 0
    this.#count[this.#depth]!++
  }

  #fail(at: Position, problem: string, reason: string): never {
    throw new ConfigError([`conf: '${this.#file}' ${problem}`], at, reason)
  }
}
