/**
 * Text → one YAML document as libyaml sees it: passes 1 (it loads, and there is exactly one
 * document) and 2 (plain block YAML only). The yaml package parses; this module rejects what
 * libyaml would reject and turns the package's errors into libyaml's numbers. Called by `load.ts`
 * on the primary thread.
 *
 * Differences between the two, and what is done about them:
 * - every scalar is text, keys may repeat, `<<` is an ordinary key (failsafe schema, no checks of
 *   the package's own);
 * - a comment needs no blank before it after a quoted scalar (accepted here as well);
 * - tabs, `:` without a key, text after `...`, names of anchors (rejected in `tokens.ts`);
 * - quoted text whose next lines are not indented is legal for libyaml alone (rejected here).
 */

import { type Document, isMap, isScalar, isSeq, type ParsedNode, parseAllDocuments, type YAMLParseError } from 'yaml'
import { ConfigError, LibyamlError, type Position, yamlFailure } from './errors.ts'
import type { Source } from './source.ts'
import { checkTokens, type DisallowedToken, type Fault } from './tokens.ts'
import { explainYaml } from './yaml-words.ts'

export interface ScalarNode {
  readonly kind: 'scalar'
  /**
   * Latin-1 text, one char a byte of its UTF-8 form, quotes and escapes resolved. Also '' for a
   * missing value.
   */
  readonly value: string
  readonly at: Position
  /**
   * Where its second line begins, which belongs to the value because it is indented further; null
   * when it has one line.
   */
  readonly continuedAt: Position | null
}

export interface MappingNode {
  readonly kind: 'mapping'
  readonly pairs: readonly (readonly [key: YamlNode, value: YamlNode])[]
  readonly at: Position
}

export interface SequenceNode {
  readonly kind: 'sequence'
  readonly items: readonly YamlNode[]
  readonly at: Position
}

export type YamlNode = ScalarNode | MappingNode | SequenceNode

/**
 * Messages of the package for which libyaml's parser reports the error; for all others libyaml's
 * scanner does. Found by comparing both on mutated files: the number is the same for 98 of 100.
 */
const PARSER_MESSAGES = new RegExp(
  `^(?:${[
    'All mapping items',
    'A block sequence may',
    'A node can',
    'Block collections are',
    'Could not resolve',
    'Flow ',
    'Missing [,d]',
    'Plain value cannot start with flow',
    'Sequence item without',
    'Unexpected (?!block-seq-ind)',
    'Maximum',
  ].join('|')})`,
)

/**
 * @param file name of the file, for nutcracker's messages.
 * @returns the root node.
 * @throws ConfigError when the text is not one document of plain block YAML.
 */
export function parseDocument(source: Source, file: string): YamlNode {
  const { documents, errors } = load(source.text)
  const { fault, disallowed } = checkTokens(source.text)
  const first = firstFault(errors, source.text, fault)
  if (first !== null) {
    throw new ConfigError(
      [yamlFailure(first.error)],
      source.position(first.shownAt),
      `not valid YAML: ${first.message}`,
    )
  }
  if (documents.length !== 1) throw documentCount(documents, source, file)
  if (disallowed !== null) throw disallowedToken(disallowed, source)
  return toNode(documents[0]!.contents, source)
}

interface Loaded {
  readonly documents: readonly Document.Parsed[]
  readonly errors: readonly YAMLParseError[]
}

function load(text: string): Loaded {
  const documents = parseAllDocuments(text, {
    schema: 'failsafe',
    version: '1.1',
    merge: false,
    uniqueKeys: false,
    logLevel: 'silent',
    prettyErrors: false,
  })
  const errors = 'empty' in documents ? documents.errors : documents.flatMap(document => document.errors)
  return { documents, errors }
}

/**
 * A fault, and the position to show: the package may find it on another line than the one that must
 * be changed.
 */
interface ShownFault extends Fault {
  readonly shownAt: number
}

/** The first fault in the file, of the package's and those of `tokens.ts`. */
function firstFault(errors: readonly YAMLParseError[], text: string, ours: Fault | null): ShownFault | null {
  let first: YAMLParseError | null = null
  for (const error of errors) {
    if (isCommentWithoutBlank(error, text) || (ours !== null && error.pos[0] >= ours.offset)) continue
    if (first === null || error.pos[0] < first.pos[0]) first = error
  }
  if (first !== null) return toFault(first, text)
  return ours === null ? null : { ...ours, shownAt: ours.offset }
}

function isCommentWithoutBlank(error: YAMLParseError, text: string): boolean {
  return error.code === 'MISSING_CHAR' && text[error.pos[0]] === '#'
}

function toFault(error: YAMLParseError, text: string): ShownFault {
  const [offset] = error.pos
  const isTooDeep = error.code === 'RESOURCE_EXHAUSTION'
  const shown = isTooDeep ? { offset, message: 'nested too deeply' } : explainYaml(error.message, text, offset)
  return {
    offset,
    error: PARSER_MESSAGES.test(error.message) ? LibyamlError.parser : LibyamlError.scanner,
    message: shown.message,
    shownAt: shown.offset,
  }
}

function documentCount(documents: readonly Document.Parsed[], source: Source, file: string): ConfigError {
  const count = documents.length
  const line = `conf: '${file}' must contain only 1 document; found ${count} documents`
  if (count === 0) return new ConfigError([line], null, 'the file is empty; write at least one pool')
  const second = source.position(documents[1]!.range[0])
  return new ConfigError([line], second, `${count} YAML documents; put all pools into one and remove "---"`)
}

function disallowedToken(token: DisallowedToken, source: Source): ConfigError {
  return new ConfigError(
    [`conf: ${token.name} token (${token.number}) is disallowed`],
    source.position(token.offset),
    `YAML's ${token.name} (${token.shown}) is not allowed, only "key: value" lines and ` +
      `"- item" lists are; quote it if it is text`,
  )
}

/** Recursive; the package rejects nesting that would come near the depth of the stack. */
function toNode(node: ParsedNode | null, source: Source): YamlNode {
  const at = source.position(node?.range[0] ?? 0)
  if (isMap(node)) {
    const pairs = node.items.map(
      pair => [toNode(pair.key as ParsedNode | null, source), toNode(pair.value as ParsedNode | null, source)] as const,
    )
    return { kind: 'mapping', pairs, at }
  }
  if (isSeq(node)) return { kind: 'sequence', items: node.items.map(item => toNode(item as ParsedNode, source)), at }
  const text = isScalar(node) && typeof node.value === 'string' ? node.value : ''
  return {
    kind: 'scalar',
    value: Buffer.from(text, 'utf8').toString('latin1'),
    at,
    continuedAt: continuation(node, source),
  }
}

/** Only for text without quotes: quotes show that the lines belong together. */
function continuation(node: ParsedNode | null, source: Source): Position | null {
  if (!isScalar(node) || node.type !== 'PLAIN') return null
  const [start, end] = node.range
  const below = source.text.slice(start, end).search(/\n\s*[^\s#]/)
  if (below === -1) return null
  const line = start + below
  return source.position(line + source.text.slice(line).search(/\S/))
}
