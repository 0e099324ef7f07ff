/**
 * glibc's getopt_long, as nutcracker uses it: short options may be bundled, long ones abbreviated while no other fits, arguments may be
 * attached or follow, `--` ends the options, everything else is passed over. Parsing stops at the first mistake. Pure; for `cli.ts`.
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

/** `unknown`: `text` is the character that glibc reports, NUL for any long name that fits no option or several. */
export type Mistake<Spec extends OptionSpec> =
  | { readonly kind: 'unknown'; readonly text: string }
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
  const spec = findLong(arg.slice(2, equals === -1 ? undefined : equals), specs)
  if (spec === null) return { kind: 'unknown', text: '\0' }
  const attached = equals === -1 ? null : arg.slice(equals + 1)
  if (!spec.takesValue) {
    if (attached !== null) return { kind: 'unknown', text: spec.short }
    given.push({ spec, value: '' })
    return 'done'
  }
  const value = attached ?? next
  if (value === undefined) return { kind: 'missing-value', spec }
  given.push({ spec, value })
  return attached === null ? 'took-next' : 'done'
}

/** The exact name wins; else the only option that the name begins. */
function findLong<Spec extends OptionSpec>(name: string, specs: readonly Spec[]): Spec | null {
  const exact = specs.find(spec => spec.long === name)
  if (exact !== undefined) return exact
  const fitting = specs.filter(spec => spec.long.startsWith(name))
  return fitting.length === 1 ? fitting[0]! : null
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
