/**
 * The grammar of every command as a real server tells it (`COMMAND DOCS`, with `COMMAND INFO` for tips and flags), so that random requests
 * cover the server's whole table and never a list that somebody keeps.
 */

import { readValue, type Value } from './value.ts'

export interface Argument {
  /** Lower case, as documented: `key`, `numkeys`, `milliseconds` … */
  readonly name: string
  /** `key`, `string`, `integer`, `double`, `pattern`, `unix-time`, `pure-token`, `oneof` or `block`. */
  readonly type: string
  /** Word that stands before it, or that it is; '' = none. */
  readonly token: string
  readonly optional: boolean
  readonly multiple: boolean
  /** The token is repeated with each value. */
  readonly repeatsToken: boolean
  /** Of `oneof` and `block`. */
  readonly arguments: readonly Argument[]
}

export interface Grammar {
  /** Upper case words: one, or two with a subcommand. */
  readonly words: readonly string[]
  /** `string`, `list`, `generic` … */
  readonly group: string
  readonly flags: ReadonlySet<string>
  /** `nondeterministic_output` and others. */
  readonly tips: ReadonlySet<string>
  readonly arguments: readonly Argument[]
}

/** @param docs reply to COMMAND DOCS. @param info reply to COMMAND, both in RESP2. */
export function readGrammars(docs: Buffer, info: Buffer): Grammar[] {
  const documented = fields(readValue(docs))
  return readValue(info).elements!.flatMap(command => grammars(command, documented))
}

function grammars(command: Value, documented: ReadonlyMap<string, Value>): Grammar[] {
  const parts = command.elements!
  const name = parts[0]!.text!
  const entry = documented.get(name)
  if (entry === undefined) return []
  const about = fields(entry)
  const subcommands = about.get('subcommands')
  if (subcommands !== undefined) {
    const inner = fields(subcommands)
    return parts[9]!.elements!.flatMap(subcommand => grammars(subcommand, inner))
  }
  return [
    {
      words: name.toUpperCase().split('|'),
      group: about.get('group')?.text ?? '',
      flags: words(parts[2]),
      tips: words(parts[7]),
      arguments: (about.get('arguments')?.elements ?? []).map(readArgument),
    },
  ]
}

function readArgument(value: Value): Argument {
  const about = fields(value)
  const flags = words(about.get('flags'))
  return {
    name: about.get('name')!.text!.toLowerCase(),
    type: about.get('type')!.text!,
    token: about.get('token')?.text ?? '',
    optional: flags.has('optional'),
    multiple: flags.has('multiple') || flags.has('multiple_token'),
    repeatsToken: flags.has('multiple_token'),
    arguments: (about.get('arguments')?.elements ?? []).map(readArgument),
  }
}

function fields(value: Value): Map<string, Value> {
  const elements = value.elements ?? []
  const found = new Map<string, Value>()
  for (let at = 0; at + 1 < elements.length; at += 2) found.set(elements[at]!.text!, elements[at + 1]!)
  return found
}

function words(value: Value | undefined): Set<string> {
  return new Set((value?.elements ?? []).map(element => element.text ?? ''))
}
