/**
 * One walk over the flat tokens of a file, for what libyaml's scanner and nutcracker's token check
 * reject and the yaml package's parser accepts: tabs where a key could start, a `:` without a key,
 * malformed directives and anchors (all part of pass 1), and every token beyond plain block YAML
 * (pass 2). Called by `parse.ts` on the primary thread.
 */

import { CST, Lexer } from 'yaml'
import { LibyamlError } from './errors.ts'

/** An error at a position. `offset` is an index into the text. */
export interface Fault {
  readonly offset: number
  /** One of `LibyamlError`. */
  readonly error: number
  readonly message: string
}

/** A token that nutcracker disallows. */
export interface DisallowedToken {
  readonly offset: number
  /** libyaml's token name and number, as nutcracker logs them. */
  readonly name: string
  readonly number: number
  /**
   * The indicator as written, without the name that may follow it, which could be a password that
   * lacks quotes.
   */
  readonly shown: string
}

export interface TokenReport {
  /** The first fault, or null. */
  readonly fault: Fault | null
  /** The first disallowed token, or null. */
  readonly disallowed: DisallowedToken | null
}

const DISALLOWED: Readonly<Record<string, readonly [name: string, number: number]>> = {
  'doc-start': ['document start', 5],
  'doc-end': ['document end', 6],
  'flow-seq-start': ['flow sequence start', 10],
  'flow-seq-end': ['flow sequence end', 11],
  'flow-map-start': ['flow mapping start', 12],
  'flow-map-end': ['flow mapping end', 13],
  comma: ['flow entry', 15],
  alias: ['alias', 18],
  anchor: ['anchor', 19],
  tag: ['tag', 20],
}

const DIRECTIVES: readonly (readonly [pattern: RegExp, name: string, number: number])[] = [
  [/^%YAML[ \t]/, 'version directive', 3],
  [/^%TAG[ \t]/, 'tag directive', 4],
]
/** libyaml ends the name at any of these characters, the yaml package only at a blank. */
const ANCHOR_OR_ALIAS = /^[&*]([\w-]+)(?:$|[?:,\]}%@`])/
/** An escaped half of a UTF-16 pair. libyaml rejects it, also as one of two that form a pair. */
const SURROGATE_ESCAPE = /^\\u[dD][89a-fA-F]/

/** Walks over the tokens of the whole text. Never throws. */
export function checkTokens(text: string): TokenReport {
  const walk = new TokenWalk()
  let inScalar = false
  for (const source of new Lexer().lex(text)) {
    if (inScalar) {
      walk.scalar(source)
      inScalar = false
    } else if (source === CST.SCALAR) {
      inScalar = true
    } else if (source !== CST.DOCUMENT && source !== CST.FLOW_END) {
      walk.token(CST.tokenType(source) ?? 'error', source)
    }
  }
  return { fault: walk.fault, disallowed: walk.disallowed }
}

class TokenWalk {
  fault: Fault | null = null
  disallowed: DisallowedToken | null = null
  #offset = 0
  #lineStart = 0
  #flowDepth = 0
  /** libyaml's simple_key_allowed: a key may start here, so a tab may not. */
  #keyAllowed = true
  /**
   * After a plain scalar, which takes in blanks and line breaks: tabs are allowed there from column
   * `#indent + 1` on.
   */
  #afterPlain = false
  /** The next scalar is the text of a `|` or `>` block. */
  #blockNext = false
  /** After `...`, where only another document may begin. */
  #ended = false
  /** Column of the last key or `-` that began a node. */
  #indent = -1
  /** Columns of each `?` whose `:` has not come yet. */
  readonly #explicitKeys = new Set<number>()
  readonly #anchors = new Set<string>()

  /** A plain scalar, or the text of a block scalar. */
  scalar(source: string): void {
    this.#begin()
    this.#keyAllowed = this.#blockNext
    this.#afterPlain = !this.#blockNext
    this.#blockNext = false
    this.#advance(source)
  }

  token(type: string, source: string): void {
    if (type === 'space') this.#space(source)
    else if (type === 'newline') this.#keyAllowed = this.#flowDepth === 0
    else if (type !== 'comment' && type !== 'byte-order-mark') this.#mark(type, source)
    if (type === 'comment') this.#afterPlain = false
    this.#advance(source)
  }

  /** Any token but blanks, line breaks and comments. */
  #mark(type: string, source: string): void {
    if (type === 'doc-start' || type === 'doc-end' || type === 'directive-line') this.#ended = type === 'doc-end'
    else this.#begin()
    this.#afterPlain = false
    if (type === 'seq-item-ind') return
    if (type === 'explicit-key-ind') {
      this.#explicitKeys.add(this.#column())
      return
    }
    if (type === 'map-value-ind') {
      this.#value()
      return
    }
    this.#keyAllowed = false
    if (type === 'block-scalar-header') this.#blockNext = true
    else if (type === 'flow-map-start' || type === 'flow-seq-start') this.#flowDepth++
    else if (type === 'flow-map-end' || type === 'flow-seq-end') this.#flowDepth = Math.max(0, this.#flowDepth - 1)
    else if (type === 'anchor' || type === 'alias') this.#anchor(type, source)
    else if (type === 'directive-line') this.#directive(source)
    else if (type.endsWith('-quoted-scalar')) this.#quoted(source)
    const token = DISALLOWED[type]
    if (token !== undefined) this.#disallow(token[0], token[1], source)
  }

  #begin(): void {
    if (this.#ended) {
      this.#ended = false
      this.#fail(0, LibyamlError.parser, 'text after the end of the document ("..."); remove that line')
    }
    if (this.#keyAllowed && this.#flowDepth === 0) this.#indent = this.#column()
  }

  #space(source: string): void {
    const tab = source.indexOf('\t')
    if (tab === -1 || this.#flowDepth > 0) return
    const column = this.#offset + tab - this.#lineStart
    if (!this.#keyAllowed || (this.#afterPlain && column > this.#indent)) return
    this.#fail(tab, LibyamlError.scanner, 'a tab may not be used for indentation; use spaces')
  }

  #value(): void {
    if (!this.#keyAllowed || this.#flowDepth > 0) {
      this.#keyAllowed = false
      return
    }
    if (this.#explicitKeys.delete(this.#column())) return
    this.#fail(0, LibyamlError.parser, 'there is no key before ":"; write "key: value", or quote the text')
  }

  #anchor(type: 'anchor' | 'alias', source: string): void {
    const name = ANCHOR_OR_ALIAS.exec(source)?.[1]
    if (name === undefined) {
      this.#fail(0, LibyamlError.scanner, `"${source[0]}" starts an ${type} in YAML; quote the text`)
    } else if (type === 'alias' && !this.#anchors.has(name)) {
      this.#fail(0, LibyamlError.composer, '"*" starts an alias in YAML, and it has no anchor; quote the text')
    } else if (type === 'anchor') {
      this.#anchors.add(name)
    }
  }

  #directive(source: string): void {
    const known = DIRECTIVES.find(([pattern]) => pattern.test(source))
    if (known !== undefined) this.#disallow(known[1], known[2], source)
    else this.#fail(0, LibyamlError.scanner, '"%" at the start of a line begins a YAML directive; quote the text')
  }

  #quoted(source: string): void {
    const end = source[0] === "'" ? endOfSingleQuoted(source) : endOfDoubleQuoted(source)
    if (end === source.length) return
    const message =
      end === -1
        ? `a text in quotes begins here and has no ${source[0]} at its end; its further lines must be indented`
        : 'an escape that is no character; write the character itself, or \\U and its 8 hexadecimal digits'
    this.#fail(Math.max(0, end), LibyamlError.scanner, message)
  }

  #disallow(name: string, number: number, source: string): void {
    const shown = /^[&*!]/.test(source) ? source[0]! : source.split('\n', 1)[0]!
    this.disallowed ??= { offset: this.#offset, name, number, shown }
  }

  #fail(at: number, error: number, message: string): void {
    this.fault ??= { offset: this.#offset + at, error, message }
  }

  #column(): number {
    return this.#offset - this.#lineStart
  }

  #advance(source: string): void {
    const newline = source.lastIndexOf('\n')
    if (newline !== -1) this.#lineStart = this.#offset + newline + 1
    this.#offset += source.length
  }
}

/** @returns the length of the text if its last quote closes it, else -1. */
function endOfSingleQuoted(source: string): number {
  const inner = source.slice(1, -1).replaceAll("''", '')
  return source.length > 1 && source.endsWith("'") && !inner.includes("'") ? source.length : -1
}

/**
 * @returns the index after the closing quote, or the index of an escape that libyaml rejects, or -1
 * when the quote is not closed.
 */
function endOfDoubleQuoted(source: string): number {
  for (let at = 1; at < source.length; at++) {
    if (source[at] === '"') return at + 1
    if (source[at] !== '\\') continue
    if (SURROGATE_ESCAPE.test(source.slice(at, at + 4))) return at
    at++
  }
  return -1
}
