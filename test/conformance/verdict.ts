/** Judges a case: what the subject answered against what a server answered directly. */

import type { Case } from './case-file.ts'
import { holdsDirectly, sameValue } from './compare.ts'
import { converse, type Outcome } from './conversation.ts'
import { type Protocol, SUBJECTS, type SubjectName, type Target, type Targets } from './target.ts'
import { fingerprint, isError, textOf, type Value } from './value.ts'

/**
 * `right`: every reply is the server's own, as far as the case says it must be. `refused`: a clear error where the server answers.
 * `wrong`: anything else: another reply, none, or the end of the connection.
 */
export type VerdictName = 'right' | 'refused' | 'wrong'

export interface Verdict {
  readonly name: VerdictName
  /** Why it is not right: the error, or the difference. */
  readonly note: string
}

export interface Judged {
  readonly case: Case
  readonly protocol: Protocol
  readonly verdicts: Readonly<Record<SubjectName, Verdict>>
  /** What is wrong with the case itself: it promises what the server does not do. '' = nothing. */
  readonly mistake: string
}

const RIGHT: Verdict = { name: 'right', note: '' }

/** Errors by which a proxy says that it failed, not that it refuses. */
const FAILURES =
  /timed out|Connection (?:refused|reset)|Protocol error|queue is full|Host is down|Broken pipe|Invalid argument/i

/** Errors by which it refuses. They may stand where the server has an error of another kind. */
export const REFUSALS =
  /^(?:CROSSSLOT|ERR .*(?:not supported|unsupported|several servers|different servers|(?:a|the) proxy|(?:a|this) pool))/i

/** Runs a case against all targets, each emptied before. */
export async function judge(targets: Targets, one: Case, protocol: Protocol): Promise<Judged> {
  const { direct, subjects } = targets
  const danger = one.flags.has('danger')
  await Promise.all([direct, ...Object.values(subjects)].map(target => target.reset()))
  const expecting = danger ? Promise.resolve([]) : converse(direct, one, protocol)
  const running = SUBJECTS.map(name => converse(subjects[name], one, protocol))
  const expected = await expecting
  const verdicts = (await Promise.all(running)).map(outcomes =>
    danger ? refusalOf(outcomes) : compare(one, expected, outcomes),
  )
  const [behindOne, behindMany, gathering] = verdicts as [Verdict, Verdict, Verdict]
  return {
    case: one,
    protocol,
    verdicts: { one: behindOne, many: behindMany, gather: gathering },
    mistake: danger ? '' : mistake(one, expected),
  }
}

/** What a dangerous case must come to: its last line is refused. */
function refusalOf(outcomes: readonly Outcome[]): Verdict {
  const last = outcomes.at(-1)
  const value = last?.values[0]
  if (value === undefined || last?.trouble !== '') return { name: 'wrong', note: last?.trouble ?? 'no reply' }
  if (!isError(value) || FAILURES.test(textOf(value))) return { name: 'wrong', note: textOf(value) }
  return { name: 'refused', note: textOf(value) }
}

function compare(one: Case, expected: readonly Outcome[], outcomes: readonly Outcome[]): Verdict {
  for (const [index, step] of one.steps.entries()) {
    const direct = expected[index]
    const subject = outcomes[index]
    if (direct === undefined || direct.trouble !== '') break
    for (const [at, value] of direct.values.entries()) {
      const other = subject?.values[at]
      if (other === undefined) return wrong(step.text, value, null, subject?.trouble ?? 'no reply')
      if (sameValue(step.compare, value, other)) continue
      return isRefusal(value, other) ? { name: 'refused', note: textOf(other) } : wrong(step.text, value, other, '')
    }
    if (subject === undefined || subject.trouble !== '') {
      return { name: 'wrong', note: `${step.text}: ${subject?.trouble ?? 'nothing'}` }
    }
  }
  return RIGHT
}

function isRefusal(direct: Value, subject: Value): boolean {
  if (!isError(subject)) return false
  const text = textOf(subject)
  return !FAILURES.test(text) && (!isError(direct) || REFUSALS.test(text))
}

const LONGEST_NOTE_CHARS = 300

function wrong(line: string, direct: Value, subject: Value | null, trouble: string): Verdict {
  const shown = (value: Value): string => fingerprint(value, true).slice(0, LONGEST_NOTE_CHARS)
  const answer = subject === null ? trouble : shown(subject)
  return { name: 'wrong', note: `${line}: ${answer} in place of ${shown(direct)}` }
}

function mistake(one: Case, expected: readonly Outcome[]): string {
  for (const [index, step] of one.steps.entries()) {
    const outcome = expected[index]
    if (outcome === undefined || outcome.trouble !== '') return `${step.text}: ${outcome?.trouble ?? 'not run'}`
    for (const value of outcome.values) {
      if (!holdsDirectly(step.compare, value))
        return `${step.text}: the server says ${textOf(value).slice(0, LONGEST_NOTE_CHARS)}`
    }
  }
  return ''
}

/** Runs every case that the server's version has, with RESP2 and with RESP3. */
export async function judgeAll(targets: Targets, cases: readonly Case[]): Promise<Judged[]> {
  const judged: Judged[] = []
  const known = new Set(await commandsOf(targets.direct))
  for (const protocol of [2, 3] as const) {
    for (const one of cases) {
      if (one.flags.has(protocol === 2 ? 'resp3' : 'resp2')) continue
      if (one.flags.has('known') && !known.has(one.command.toLowerCase().replace(' ', '|'))) continue
      judged.push(await judge(targets, one, protocol))
    }
  }
  return judged
}

/** Names of the server's commands, in lower case, subcommands after a `|`. */
export async function commandsOf(server: Target): Promise<string[]> {
  const [[list]] = (await server.tellServers(['COMMAND', 'LIST'])) as [[string]]
  return list.slice(1, -1).toLowerCase().split(' ')
}
