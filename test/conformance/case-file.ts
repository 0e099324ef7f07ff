/**
 * Reads the case files of `cases/`. A case is a heading and the lines of a conversation:
 *
 *     == SET | with EX and GET [resp2, refused]
 *     SET k v EX 100 GET
 *     TTL k                  ;; near 2
 *     B> BLPOP l 0           ;; later
 *     blocked 1
 *     RPUSH l x
 *     B<
 *
 * `== COMMAND | form [flags]`. A line is a request as redis-cli would take it ("" with escapes, '' plain), from client A or, with `B>`, from
 * another; after ` ;; ` what is special about it, several apart by commas: a comparison (`compare.ts`), `replies 2` (it has so many),
 * `later` (its replies are read by a line `B<`), `as name` (`$name` in later lines is the text of its reply), `scan` (repeated with the
 * cursor that it gives, until that is 0; all elements together are one reply), `raw` (its only word goes out as it is), `shuffled` (its replies may come in
 * any order), `closes` (the server closes the connection after it).
 * `blocked 1` waits until so many clients are blocked on the servers. `A!` closes the connection of client A.
 *
 * Flags: `resp2`, `resp3` (only with that protocol), `known` (only where the server knows the command), `danger` (never sent to a server
 * directly: the subject must refuse it), `refused`, `many refused` (what the pool is known to refuse, always or only behind several servers),
 * `gathered` (then not with `cross_server: gather`).
 */

import { readdirSync, readFileSync } from 'node:fs'
import { type CompareName, type Comparison, EXACT } from './compare.ts'

export interface Step {
  readonly do: 'send' | 'read' | 'leave' | 'blocked'
  /** Name of the client: `A`, `B` …. */
  readonly client: string
  /** Of `send`: one char a byte. */
  readonly args: readonly string[]
  readonly compare: Comparison
  /** Replies to read: 0 for `later`. Of `blocked`: the number of clients. */
  readonly count: number
  readonly scan: boolean
  readonly raw: boolean
  readonly shuffled: boolean
  readonly closes: boolean
  /** '' = not kept. */
  readonly as: string
  /** The line as written. */
  readonly text: string
}

export interface Case {
  /** `file:line` of the heading. */
  readonly place: string
  /** Upper case; a container's subcommand after a blank. */
  readonly command: string
  readonly form: string
  readonly flags: ReadonlySet<string>
  readonly steps: readonly Step[]
}

/** Every case of every file, in the order of names. */
export function readCases(): Case[] {
  const folder = new URL('cases/', import.meta.url)
  const files = readdirSync(folder).filter(file => file.endsWith('.txt'))
  return files.sort().flatMap(file => parseCases(file, readFileSync(new URL(file, folder), 'utf8')))
}

/** @throws Error that names the place of a mistake. */
export function parseCases(file: string, text: string): Case[] {
  const cases: Case[] = []
  let steps: Step[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const place = `${file}:${index + 1}`
    if (line.trim() === '' || line.startsWith('# ')) continue
    if (line.startsWith('== ')) {
      steps = []
      cases.push(heading(line, place, steps))
    } else if (cases.length === 0) {
      throw new Error(`${place}: a line before the first heading`)
    } else {
      steps.push(step(line, place))
    }
  }
  return cases
}

function heading(line: string, place: string, steps: readonly Step[]): Case {
  const match = /^== ([^|]+?) \| (.+?)(?: \[([^\]]*)\])?$/.exec(line)
  if (match === null) throw new Error(`${place}: not a heading: ${line}`)
  const [, command, form, flags] = match
  return { place, command: command!, form: form!, flags: new Set(flags?.split(', ') ?? []), steps }
}

const COMPARISONS: readonly string[] = [
  'exact',
  'error',
  'words',
  'mixed',
  'unordered',
  'pairs',
  'shape',
  'type',
  'near',
  'any',
  'match',
  'or-error',
  'nothing',
] satisfies CompareName[]

const DIRECTIONS: Readonly<Record<string, string>> = { '>': 'send', '<': 'read', '!': 'leave' }

function step(line: string, place: string): Step {
  const [request, special] = line.split(' ;; ')
  const parts = /^(?:([A-Z])([><!]) ?)?(.*)$/.exec(request!.trim())!
  const [, client = 'A', direction, words] = parts
  const blocked = /^blocked (\d+)$/.exec(words!)
  const result = {
    do: (blocked !== null ? 'blocked' : (DIRECTIONS[direction ?? '>'] as string)) as Step['do'],
    client,
    args: blocked !== null || words === '' ? [] : splitWords(words!, place),
    compare: EXACT,
    count: blocked === null ? 1 : Number(blocked[1]),
    scan: false,
    raw: false,
    shuffled: false,
    closes: false,
    as: '',
    text: line.trim(),
  }
  for (const word of special?.split(/, (?=[a-z])/) ?? []) {
    const [name, argument] = splitOnce(word.trim())
    if (COMPARISONS.includes(name)) result.compare = { name: name as CompareName, argument }
    else if (name === 'replies') result.count = Number(argument)
    else if (name === 'later') result.count = 0
    else if (name === 'scan') result.scan = true
    else if (name === 'raw') result.raw = true
    else if (name === 'shuffled') result.shuffled = true
    else if (name === 'closes') result.closes = true
    else if (name === 'as') result.as = argument
    else throw new Error(`${place}: unknown: ${word}`)
  }
  return result
}

function splitOnce(word: string): [string, string] {
  const blank = word.indexOf(' ')
  return blank < 0 ? [word, ''] : [word.slice(0, blank), word.slice(blank + 1)]
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

/** Words as redis-cli splits them. */
function splitWords(text: string, place: string): string[] {
  const words: string[] = []
  const pattern = /\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(\S+))/y
  while (pattern.lastIndex < text.trimEnd().length) {
    const at = pattern.lastIndex
    const match = pattern.exec(text)
    if (match === null) throw new Error(`${place}: not a word: ${text.slice(at)}`)
    const [, double, single, plain] = match
    words.push(double !== undefined ? unescaped(double) : single !== undefined ? single.replace(/\\'/g, "'") : plain!)
  }
  return words
}

function unescaped(text: string): string {
  return text.replace(/\\x([0-9a-fA-F]{2})|\\(.)/g, (_, hex: string | undefined, char: string) =>
    hex === undefined ? (ESCAPES[char] ?? char) : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
