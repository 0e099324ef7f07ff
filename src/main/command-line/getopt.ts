/**
 * glibc's getopt_long, as nutcracker uses it: short options may be bundled, long ones abbreviated
 * while only one matches, arguments may be attached or follow, `--` ends the options, all other
 * arguments are ignored. Parsing stops at the first mistake. Pure; for `cli.ts`.
 */

export interface OptionSpec {
  /** One character, or '' for an option that has only a long name. */
  readonly short: string
  readonly long: string
  readonly takesValue: boolean
}

export interface GivenOption<Spec extends OptionSpec> {
  readonly spec: Spec
  /** '' for an option that takes none. */
  readonly value: string
}

/**
 * `unknown`: a short option, `text` is its character. `unknown-long`: `text` as given, with its
 * dashes and without a value.
 * `ambiguous`: several long names begin so. `unwanted-value`: `--name=value` for an option that
 * takes none.
 */
export type Mistake<Spec extends OptionSpec> =
  | { readonly kind: 'unknown'; readonly text: string }
  | { readonly kind: 'unknown-long'; readonly text: string }
  | { readonly kind: 'ambiguous'; readonly text: string; readonly specs: readonly Spec[] }
  | { readonly kind: 'unwanted-value'; readonly spec: Spec }
  | { readonly kind: 'missing-value'; readonly spec: Spec }

export interface ParsedArguments<Spec extends OptionSpec> {
  /** In the order given, up to the first mistake. */
  readonly given: readonly GivenOption<Spec>[]
  readonly mistake: Mistake<Spec> | null
}

/** @param args without the program's name. */
export function parseArguments<Spec extends OptionSpec>(
  args: readonly string[],
  specs: readonly Spec[],
): ParsedArguments<Spec> {
  const given: GivenOption<Spec>[] = []
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!
    if (arg === '--') break
    if (arg.length < 2 || arg[0] !== '-') continue
    const next = args[at + 1]
    const step = arg[1] === '-' ? readLong(arg, next, specs, given) : readBundle(arg, next, specs, given)
    if (step === 'took-next') at++
    else if (step !== 'done') return { given, mistake: step }
  }
  return { given, mistake: null }
}

/** `took-next`: the following argument was this option's value. */
type Step<Spec extends OptionSpec> = 'done' | 'took-next' | Mistake<Spec>

function readLong<Spec extends OptionSpec>(
  arg: string,
  next: string | undefined,
  specs: readonly Spec[],
  given: GivenOption<Spec>[],
): Step<Spec> {
  const equals = arg.indexOf('=')
  const text = equals === -1 ? arg : arg.slice(0, equals)
  const fitting = findLong(text.slice(2), specs)
  if (fitting.length === 0) return { kind: 'unknown-long', text }
  if (fitting.length > 1) return { kind: 'ambiguous', text, specs: fitting }
  const spec = fitting[0]!
  const attached = equals === -1 ? null : arg.slice(equals + 1)
  if (!spec.takesValue) {
    if (attached !== null) return { kind: 'unwanted-value', spec }
    given.push({ spec, value: '' })
    return 'done'
  }
  const value = attached ?? next
  if (value === undefined) return { kind: 'missing-value', spec }
  given.push({ spec, value })
  return attached === null ? 'took-next' : 'done'
}

/** @returns the option of exactly this name, else all whose names begin so. */
function findLong<Spec extends OptionSpec>(name: string, specs: readonly Spec[]): readonly Spec[] {
  const exact = specs.find(spec => spec.long === name)
  return exact === undefined ? specs.filter(spec => spec.long.startsWith(name)) : [exact]
}

function readBundle<Spec extends OptionSpec>(
  arg: string,
  next: string | undefined,
  specs: readonly Spec[],
  given: GivenOption<Spec>[],
): Step<Spec> {
  for (let at = 1; at < arg.length; at++) {
    const short = String.fromCodePoint(arg.codePointAt(at)!)
    const spec = specs.find(candidate => candidate.short === short)
    if (spec === undefined) return { kind: 'unknown', text: short }
    if (!spec.takesValue) {
      given.push({ spec, value: '' })
      continue
    }
    const rest = arg.slice(at + 1)
    if (rest === '' && next === undefined) return { kind: 'missing-value', spec }
    given.push({ spec, value: rest === '' ? next! : rest })
    return rest === '' ? 'took-next' : 'done'
  }
  return 'done'
}
