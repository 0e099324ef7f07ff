/**
 * What the text of a Lua script says of the keys that it uses, before it runs. Data plane, once for each new script.
 *
 *     text ─▶ tokens ─▶ where each name gets its values ─▶ each call's keys and channel ─▶ the worst of them
 *
 * The look is a cautious reading, not a proof: names are told apart by their spelling only, and a key counts as declared where every value
 * that its name is given comes from `KEYS`. A command whose name is computed is passed over.
 */

import { encodeText } from '../../bytes/ascii.ts'
import { Action, type Command, KeyForm, lookupCommand } from './commands.ts'
import { luaTokens, type Token, TokenKind } from './lua-tokens.ts'

/** Where a key or channel comes from; the larger is the worse. */
export const Origin = {
  /** `KEYS[n]`, also by way of variables, tables and the parameters of functions. */
  declared: 0,
  /** Built from one: `KEYS[1] .. ':lock'`. It is on the same server where a hash tag of the declared key decides. */
  derived: 1,
  /** A literal, an argument, a value read from the server, a search in all keys. */
  foreign: 2,
} as const

export interface ScriptText {
  /** The script may run a command. */
  readonly callsServer: boolean
  /** The worst of the keys that it uses: one of `Origin`. */
  readonly keys: number
  /** The worst of the channels that it publishes to. */
  readonly channels: number
  /** Names of the functions that a library registers. */
  readonly functions: readonly string[]
}

/** What a script may do with `redis` and run no command. */
const HARMLESS = new Set(['status_reply', 'error_reply', 'sha1hex', 'log', 'setresp', 'register_function'])
const HARMLESS_CONSTANT = /^(?:LOG_[A-Z]+|REDIS_VERSION(?:_NUM)?|SERVER_(?:NAME|VERSION(?:_NUM)?))$/
/** Other ways to `redis.call`, under whatever name. */
const DOORS = new Set(['_G', '_ENV', 'load', 'loadstring', 'getfenv', 'setfenv', 'debug', 'package', 'require'])
/** Commands that find or remove keys of the one server on which they run. */
const WHOLE_KEYSPACE = new Set(['KEYS', 'SCAN', 'RANDOMKEY', 'DBSIZE', 'FLUSHALL', 'FLUSHDB'])
/** Rounds in which origins pass from name to name; a script in which they have not come to rest by then is taken for the worst. */
const MAX_ROUNDS = 16
/** Tokens of one list of expressions that are looked at: keeps the look linear in the text, whatever its brackets are like. */
const MAX_LIST_TOKENS = 256
/** Tokens of all values together, for each token of the text: real scripts have about one. Beyond it all names are taken for the worst. */
const MAX_VALUE_SHARE = 8

type Tokens = readonly Token[]

/** One way by which a name gets a value, or a table an element. */
interface Source {
  readonly name: string
  readonly value: Tokens
}

/** @param text one char a byte. */
export function readScript(text: string): ScriptText {
  const tokens = luaTokens(text)
  const calls = callsOf(tokens)
  const origins = originsOf(tokens)
  let keys: number = Origin.declared
  let channels: number = Origin.declared
  for (const call of calls) {
    const name = call[0]
    if (name?.length !== 1 || name[0].kind !== TokenKind.string) continue
    const bytes = encodeText(name[0].text)
    const command = lookupCommand(bytes, 0, bytes.length)
    const origin = worstOf(keysOf(command, call), origins)
    if (command.action === Action.pubsub) channels = Math.max(channels, origin)
    else keys = Math.max(keys, WHOLE_KEYSPACE.has(command.name) ? Origin.foreign : origin)
  }
  return { callsServer: callsServer(tokens), keys, channels, functions: functionsOf(tokens) }
}

function callsServer(tokens: Tokens): boolean {
  for (const [i, token] of tokens.entries()) {
    if (token.kind !== TokenKind.name) continue
    if (DOORS.has(token.text) && !isField(tokens, i)) return true
    if (!isServerName(token) || isField(tokens, i)) continue
    const member = isMark(tokens[i + 1], '.') ? tokens[i + 2]?.text : undefined
    if (member === undefined || !(HARMLESS.has(member) || HARMLESS_CONSTANT.test(member))) return true
  }
  return false
}

function isServerName(token: Token | undefined): boolean {
  return token?.kind === TokenKind.name && (token.text === 'redis' || token.text === 'server')
}

/** `t.name`: a field of a table, not a name of its own. */
function isField(tokens: Tokens, at: number): boolean {
  return isMark(tokens[at - 1], '.') || isMark(tokens[at - 1], ':')
}

function isMark(token: Token | undefined, text: string): boolean {
  return token?.kind === TokenKind.mark && token.text === text
}

function isName(token: Token | undefined, text: string): boolean {
  return token?.kind === TokenKind.name && token.text === text
}

/** `redis.call` or `redis.pcall` at `at`, also as `redis['call']`. @returns the place after it, or -1. */
function afterCallee(tokens: Tokens, at: number): number {
  if (!isServerName(tokens[at]) || isField(tokens, at)) return -1
  const dotted = isMark(tokens[at + 1], '.')
  if (!dotted && !isMark(tokens[at + 1], '[')) return -1
  const member = tokens[at + 2]
  if (member?.text !== 'call' && member?.text !== 'pcall') return -1
  return dotted ? at + 3 : at + 4
}

/** The arguments of every call of a command: `redis.call(…)`, `pcall(redis.call, …)`, and both by another name. */
function callsOf(tokens: Tokens): Tokens[][] {
  const aliases = new Set<string>()
  for (let i = 0; i + 1 < tokens.length; i++) {
    if (tokens[i].kind !== TokenKind.name || !isMark(tokens[i + 1], '=')) continue
    const after = afterCallee(tokens, i + 2)
    if (after >= 0 && !isMark(tokens[after], '(')) aliases.add(tokens[i].text)
  }
  const calls: Tokens[][] = []
  for (let i = 0; i < tokens.length; i++) {
    const alias = tokens[i].kind === TokenKind.name && aliases.has(tokens[i].text) && !isField(tokens, i)
    const after = alias ? i + 1 : afterCallee(tokens, i)
    if (after < 0) continue
    // `(…)`, or the rest of the arguments of what calls it.
    if (isMark(tokens[after], '(') || isMark(tokens[after], ',')) calls.push(argumentsFrom(tokens, after + 1))
  }
  return calls
}

/** Expressions from `start` to the bracket that closes them, or to `end`. */
function argumentsFrom(tokens: Tokens, start: number, end: number = tokens.length): Tokens[] {
  const list: Token[][] = [[]]
  const stop = Math.min(end, start + MAX_LIST_TOKENS)
  let depth = 0
  for (let i = start; i < stop; i++) {
    const token = tokens[i]
    if (token.kind === TokenKind.mark) {
      if ('([{'.includes(token.text)) depth++
      else if (')]}'.includes(token.text)) depth--
    }
    if (depth < 0) break
    if (depth === 0 && isMark(token, ',')) list.push([])
    else list.at(-1)!.push(token)
  }
  return list
}

/** The expressions at a command's key places, or a publication's channel. */
function keysOf(command: Command, call: readonly Tokens[]): Tokens[] {
  const { form, first, last, step, numkeys } = command.keys
  if (command.name === 'PUBLISH' || form === KeyForm.store) return call.slice(1, 2)
  if (form === KeyForm.streams) {
    const from = call.findIndex(each => each.length === 1 && each[0].text.toUpperCase() === 'STREAMS') + 1
    return from === 0 ? [] : call.slice(from, from + Math.max(1, Math.trunc((call.length - from) / 2)))
  }
  if (form === KeyForm.numkeys) {
    const count = call[numkeys]?.length === 1 ? Number(call[numkeys][0].text) : 1
    const end = numkeys + 1 + (count > 0 ? count : 1) * step
    const counted = call.slice(numkeys + 1, end).filter((_, i) => i % step === 0)
    return first > 0 ? [...call.slice(first, first + 1), ...counted] : counted
  }
  if (form !== KeyForm.range) return []
  const expanded = call.length > 1 && isUnpack(call.at(-1)!)
  // What is unpacked may be any number of arguments, the first keys among them.
  const end = last < 0 ? (expanded ? call.length : call.length + last + 1) : last + 1
  const keys = call.slice(first, end).filter((_, i) => i % step === 0)
  return keys.length === 0 && expanded ? [call.at(-1)!] : keys
}

function isUnpack(expression: Tokens): boolean {
  return isName(expression[0], 'unpack') || (isName(expression[0], 'table') && isName(expression[2], 'unpack'))
}

function worstOf(expressions: readonly Tokens[], origins: ReadonlyMap<string, number>): number {
  return expressions.reduce<number>((worst, each) => Math.max(worst, originOf(each, origins)), Origin.declared)
}

/** What a table, or a list of values, is made from. */
const KEPT_BY = new Set(['unpack', 'ipairs', 'pairs', 'tostring'])

/** Where the value of an expression comes from. */
function originOf(expression: Tokens, origins: ReadonlyMap<string, number>): number {
  const parts = concatenated(expression)
  if (parts.length === 1) return simpleOrigin(parts[0], origins)
  let derived = false
  for (const part of parts) {
    const literal = part.length === 1 && part[0].kind !== TokenKind.name
    const origin = literal ? Origin.declared : simpleOrigin(part, origins)
    if (origin < Origin.foreign && !literal) derived = true
    // What stands before the declared key may bring a hash tag of its own.
    else if (!derived && !literal) return Origin.foreign
  }
  return derived ? Origin.derived : Origin.foreign
}

/** The operands of `..`. */
function concatenated(expression: Tokens): Tokens[] {
  const parts: Token[][] = [[]]
  let depth = 0
  for (const token of expression) {
    if (token.kind === TokenKind.mark) {
      if ('([{'.includes(token.text)) depth++
      else if (')]}'.includes(token.text)) depth--
    }
    if (depth === 0 && isMark(token, '..')) parts.push([])
    else parts.at(-1)!.push(token)
  }
  return parts
}

function simpleOrigin(expression: Tokens, origins: ReadonlyMap<string, number>): number {
  const [head, next] = expression
  if (head === undefined) return Origin.foreign
  if (isMark(head, '{')) return worstOf(elements(expression), origins)
  if (isMark(head, '(')) return originOf(expression.slice(1, -1), origins)
  if (head.kind !== TokenKind.name) return Origin.foreign
  if (isMark(next, '(')) {
    return KEPT_BY.has(head.text) ? originOf(argumentsFrom(expression, 2)[0], origins) : Origin.foreign
  }
  if (isName(head, 'table') && isName(expression[2], 'unpack')) {
    return originOf(argumentsFrom(expression, 4)[0], origins)
  }
  const known = head.text === 'KEYS' ? Origin.declared : (origins.get(head.text) ?? Origin.foreign)
  if (expression.length === 1) return known
  // An element: what the table is made of. Anything behind it makes another value.
  return isMark(next, '[') && closes(expression, 1) === expression.length - 1 ? known : Origin.foreign
}

/** The values of a table constructor; `[i] = value` and `name = value` are elements too. */
function elements(table: Tokens): Tokens[] {
  return argumentsFrom(table, 1)
    .map(each => each.slice(each.findIndex(token => isMark(token, '=')) + 1))
    .filter(each => each.length > 0)
}

/** @param open place of a bracket. @returns the place of the one that closes it. */
function closes(tokens: Tokens, open: number): number {
  let depth = 0
  for (let i = open; i < tokens.length; i++) {
    if (tokens[i].kind !== TokenKind.mark) continue
    if ('([{'.includes(tokens[i].text)) depth++
    else if (')]}'.includes(tokens[i].text) && --depth === 0) return i
  }
  return tokens.length
}

/** What each name stands for: the worst of the values that it is given anywhere in the script. */
function originsOf(tokens: Tokens): Map<string, number> {
  const sources = [...assignments(tokens), ...loops(tokens), ...insertions(tokens), ...parameters(tokens)]
  const valueTokens = sources.reduce((sum, { value }) => sum + value.length, 0)
  if (valueTokens > tokens.length * MAX_VALUE_SHARE) return new Map()
  const origins = new Map<string, number>(sources.map(({ name }) => [name, Origin.declared]))
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let changed = false
    for (const { name, value } of sources) {
      const origin = originOf(value, origins)
      if (origin <= origins.get(name)!) continue
      origins.set(name, origin)
      changed = true
    }
    if (!changed) return origins
  }
  return new Map()
}

/** Words that begin the next statement, or end the block. */
const STATEMENT = new Set(
  'local if then else elseif end for while repeat until do return break function and or not in'.split(' '),
)

/** `[local] a, b = x, y`, and `t[i] = x`. */
function* assignments(tokens: Tokens): Generator<Source> {
  for (let i = 1; i < tokens.length; i++) {
    if (!isMark(tokens[i], '=')) continue
    const names = targets(tokens, i)
    if (names.length === 0) continue
    const values = argumentsFrom(tokens, i + 1, statementEnd(tokens, i + 1))
    for (const [place, name] of names.entries()) yield { name, value: values[Math.min(place, values.length - 1)] }
  }
}

/** The names before an `=`, last to first in the text, first to last in the answer. */
function targets(tokens: Tokens, equals: number): string[] {
  const names: string[] = []
  for (let i = equals - 1; i >= 0; i--) {
    if (isMark(tokens[i], ']')) {
      let depth = 0
      do {
        if (isMark(tokens[i], ']')) depth++
        else if (isMark(tokens[i], '[')) depth--
        i--
      } while (depth > 0 && i >= 0)
    }
    const token = tokens[i]
    if (token?.kind !== TokenKind.name || STATEMENT.has(token.text) || isField(tokens, i)) break
    names.unshift(token.text)
    if (!isMark(tokens[i - 1], ',')) break
    i--
  }
  return names
}

/** Where an expression list that begins at `start` ends: before a word of a statement, or where two operands meet. */
function statementEnd(tokens: Tokens, start: number): number {
  const stop = Math.min(tokens.length, start + MAX_LIST_TOKENS)
  let depth = 0
  for (let i = start; i < stop; i++) {
    const token = tokens[i]
    if (token.kind === TokenKind.mark) {
      if ('([{'.includes(token.text)) depth++
      else if (')]}'.includes(token.text)) depth--
      if (depth < 0 || (depth === 0 && token.text === ';')) return i
      // The next assignment; its name was taken for an operand.
      if (depth === 0 && token.text === '=') return i - 1
    }
    if (depth > 0 || token.kind === TokenKind.mark) continue
    if (STATEMENT.has(token.text) && !isOperator(token)) return i
    const before = tokens[i - 1]
    if (i > start && (endsOperand(before) || isMark(before, '...'))) return i
  }
  return stop
}

function isOperator(token: Token): boolean {
  return token.text === 'and' || token.text === 'or' || token.text === 'not'
}

function endsOperand(token: Token): boolean {
  if (token.kind === TokenKind.mark) return ')]}'.includes(token.text)
  return !isOperator(token)
}

/** `for i, key in ipairs(KEYS)`: every name stands for what the list is made of; `for i = 1, n` is an assignment. */
function* loops(tokens: Tokens): Generator<Source> {
  for (let i = 0; i < tokens.length; i++) {
    if (!isName(tokens[i], 'for')) continue
    const names: string[] = []
    let at = i + 1
    while (tokens[at]?.kind === TokenKind.name && !isName(tokens[at], 'in')) {
      names.push(tokens[at].text)
      at += isMark(tokens[at + 1], ',') ? 2 : 1
    }
    if (!isName(tokens[at], 'in')) continue
    const value = tokens.slice(at + 1, statementEnd(tokens, at + 1))
    for (const name of names) yield { name, value }
  }
}

/** `table.insert(t, x)`. */
function* insertions(tokens: Tokens): Generator<Source> {
  for (let i = 0; i + 3 < tokens.length; i++) {
    if (!isName(tokens[i], 'table') || !isName(tokens[i + 2], 'insert') || !isMark(tokens[i + 3], '(')) continue
    const [table, ...rest] = argumentsFrom(tokens, i + 4)
    if (table.length === 1 && rest.length > 0) yield { name: table[0].text, value: rest.at(-1)! }
  }
}

/** Parameters of the script's own functions: what every call of the function gives them. */
function* parameters(tokens: Tokens): Generator<Source> {
  const functions = new Map<string, string[]>()
  const definitions = new Set<number>()
  for (let i = 0; i < tokens.length; i++) {
    if (!isName(tokens[i], 'function')) continue
    const named = tokens[i + 1]?.kind === TokenKind.name
    const name = named ? tokens[i + 1].text : isMark(tokens[i - 1], '=') ? tokens[i - 2]?.text : ''
    const open = named ? i + 2 : i + 1
    definitions.add(open - 1)
    if (!isMark(tokens[open], '(')) continue
    functions.set(
      name ?? '',
      argumentsFrom(tokens, open + 1).map(each => each[0]?.text ?? ''),
    )
  }
  for (let i = 0; i + 1 < tokens.length; i++) {
    const names = tokens[i].kind === TokenKind.name ? functions.get(tokens[i].text) : undefined
    if (names === undefined || definitions.has(i) || !isMark(tokens[i + 1], '(')) continue
    const values = argumentsFrom(tokens, i + 2)
    for (const [place, name] of names.entries()) if (place < values.length) yield { name, value: values[place] }
  }
}

/** `redis.register_function('f', …)` and `redis.register_function{function_name='f', …}`. */
function functionsOf(tokens: Tokens): string[] {
  const names: string[] = []
  for (let i = 0; i < tokens.length; i++) {
    if (!isName(tokens[i], 'register_function')) continue
    const byTable = isMark(tokens[i + 1], '{') || isMark(tokens[i + 2], '{')
    let at = i + 2
    while (byTable && at < i + MAX_LIST_TOKENS && !isName(tokens[at - 2], 'function_name')) at++
    const name = tokens[at]
    if (name?.kind === TokenKind.string) names.push(name.text)
  }
  return names
}
