/**
 * What a server says of its commands in its reply to `COMMAND`, as entries of our own kind. Data plane, once for each server and worker that
 * meets a command which is not in our table.
 *
 *     [name, arity, flags, first, last, step, categories, tips, key specs, subcommands]        the last four since Redis 6 and 7
 *
 * Where the keys are not certain from it (a spec that is incomplete, that begins at a keyword, or several that do not add up to one form of
 * ours) the command cannot be routed.
 */

import { encodeText } from '../../bytes/ascii.ts'
import { Action, type ActionCode, type Command, Flag, KeyForm, type KeySpec, NO_KEYS, NOT_STRICT } from './commands.ts'
import type { ReplyValue } from './reply-value.ts'

/** One command of a server. */
export interface CommandInfo {
  /** Upper case; `CONTAINER|SUBCOMMAND` for one of a container. */
  readonly name: string
  readonly arity: number
  /** Bits of `Flag`: write, read, blocking, pubsub. */
  readonly flags: number
  /** It has subcommands, which have the keys. */
  readonly container: boolean
  /** null: where its keys are is not certain. Of form `none`: it has none. */
  readonly keys: KeySpec | null
}

const FLAG_WORDS: Readonly<Record<string, number>> = {
  write: Flag.write,
  readonly: Flag.read,
  blocking: Flag.blocking,
  pubsub: Flag.pubsub,
}

/** Commands that a server may have; more is no answer of a server. */
const MAX_COMMANDS = 16_384

/** @param reply the whole reply to COMMAND. @returns by name; null when it is none. */
export function readCommands(reply: ReplyValue): Map<string, CommandInfo> | null {
  if (!Array.isArray(reply) || reply.length > MAX_COMMANDS) return null
  const commands = new Map<string, CommandInfo>()
  addCommands(commands, reply)
  return commands.size > 0 ? commands : null
}

function addCommands(commands: Map<string, CommandInfo>, entries: readonly ReplyValue[]): void {
  for (const entry of entries) {
    if (!Array.isArray(entry) || typeof entry[0] !== 'string' || commands.size >= MAX_COMMANDS) continue
    const info = readEntry(entry)
    commands.set(info.name, info)
    if (info.container) addCommands(commands, entry[9] as ReplyValue[])
  }
}

function readEntry(entry: readonly ReplyValue[]): CommandInfo {
  const [name, arity, flagList, first, last, step, , , specs, subcommands] = entry
  const flags = Array.isArray(flagList) ? flagList.map(String) : []
  const fixed: KeySpec = { ...NO_KEYS, first: Number(first), last: Number(last), step: Number(step) }
  return {
    name: String(name).toUpperCase(),
    arity: Number(arity),
    flags: Object.entries(FLAG_WORDS).reduce((bits, [word, bit]) => (flags.includes(word) ? bits | bit : bits), 0),
    container: Array.isArray(subcommands) && subcommands.length > 0,
    keys: readKeys(fixed, flags.includes('movablekeys'), Array.isArray(specs) ? specs : []),
  }
}

function readKeys(fixed: KeySpec, movable: boolean, specs: readonly ReplyValue[]): KeySpec | null {
  // The old triple says everything where no keys are elsewhere.
  if (!movable && fixed.first > 0) return fixed.step > 0 ? { ...fixed, form: KeyForm.range } : null
  if (!movable && specs.length === 0) return NO_KEYS
  const forms = specs.map(pairsOf).filter(spec => !wordsOf(spec.get('flags')).includes('not_key'))
  if (forms.some(spec => wordsOf(spec.get('flags')).includes('incomplete'))) return null
  return forms.length === 0 ? (movable ? null : NO_KEYS) : oneForm(forms.map(readSpec))
}

/** All specs as one form of ours, if they are: one range or count, or one key and a count. */
function oneForm(forms: readonly (KeySpec | null)[]): KeySpec | null {
  const [head, next] = forms
  if (forms.length === 1) return head
  if (forms.length !== 2 || head === null || next === null) return null
  const single = head.form === KeyForm.range && head.first === head.last
  return single && next.form === KeyForm.numkeys ? { ...next, first: head.first, last: head.first } : null
}

/** `[begin_search, {type: index, spec: {index}}, find_keys, {type, spec}]`. */
function readSpec(spec: ReadonlyMap<string, ReplyValue>): KeySpec | null {
  const begin = pairsOf(spec.get('begin_search') ?? null)
  const find = pairsOf(spec.get('find_keys') ?? null)
  const index = Number(pairsOf(begin.get('spec') ?? null).get('index'))
  if (begin.get('type') !== 'index' || !(index > 0)) return null
  const rules = pairsOf(find.get('spec') ?? null)
  const number = (name: string): number => Number(rules.get(name))
  if (find.get('type') === 'range') {
    const last = number('lastkey')
    if (!(number('keystep') > 0) || number('limit') > 1 || !Number.isInteger(last)) return null
    return {
      form: KeyForm.range,
      first: index,
      last: last < 0 ? last : index + last,
      step: number('keystep'),
      numkeys: 0,
    }
  }
  // The keys must follow their count.
  if (find.get('type') !== 'keynum' || number('firstkey') !== number('keynumidx') + 1) return null
  if (!(number('keystep') > 0)) return null
  return { form: KeyForm.numkeys, first: 0, last: 0, step: number('keystep'), numkeys: index + number('keynumidx') }
}

/** A map, which RESP2 writes as an array of names and values in turn. */
function pairsOf(value: ReplyValue): Map<string, ReplyValue> {
  const pairs = new Map<string, ReplyValue>()
  if (Array.isArray(value)) for (let i = 0; i + 1 < value.length; i += 2) pairs.set(String(value[i]), value[i + 1])
  return pairs
}

function wordsOf(value: ReplyValue | undefined): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

/**
 * The command as the dispatcher knows commands.
 * @param oneServer the pool has one server, which takes everything.
 */
export function learnedCommand(info: CommandInfo, oneServer: boolean): Command {
  const { name, keys } = info
  const container = name.split('|', 1)[0]
  return {
    name: container,
    action: actionOf(info, oneServer),
    arity: info.arity,
    flags: info.flags,
    key: keys?.first ?? 0,
    keys: keys ?? NO_KEYS,
    strictAction: NOT_STRICT[0],
    strictMin: NOT_STRICT[1],
    strictMax: NOT_STRICT[2],
    fragmentName: encodeText(`$${container.length}\r\n${container.toLowerCase()}\r\n`),
    bytes: encodeText(container),
  }
}

function actionOf(info: CommandInfo, oneServer: boolean): ActionCode {
  const { keys } = info
  // Messages would come to whichever client has the connection.
  if ((info.flags & Flag.pubsub) !== 0) return Action.deny
  if ((info.flags & Flag.blocking) !== 0 && (oneServer || (keys !== null && keys.form !== KeyForm.none)))
    return Action.blocking
  if (oneServer) return Action.passOn
  if (keys === null || keys.form === KeyForm.none) return Action.unroutable
  return keys.form === KeyForm.range && keys.first === keys.last ? Action.forward : Action.multiKey
}

/** What a pool of one server does with a command of which it knows nothing: it may write. */
export const PASSED_UNKNOWN: Command = learnedCommand(
  { name: '', arity: -1, flags: Flag.write, container: false, keys: NO_KEYS },
  true,
)
