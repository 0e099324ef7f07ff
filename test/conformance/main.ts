/**
 * `npm run conformance`: runs every case of `cases/` directly and through pools of one server and of three, prints what is not
 * right, and writes `docs/commands.md`. `npm run conformance -- TEXT` runs only cases whose heading or file has the text, and writes nothing.
 */

import { writeFileSync } from 'node:fs'
import { readCases } from './case-file.ts'
import { commandsPage, printed } from './report.ts'
import { startTargets } from './target.ts'
import { judgeAll } from './verdict.ts'

const wanted = process.argv[2]
const all = readCases()
const cases = all.filter(one => wanted === undefined || `${one.place} ${one.command} | ${one.form}`.includes(wanted))
const targets = await startTargets()
try {
  const judged = await judgeAll(targets, cases)
  process.stdout.write(printed(judged))
  if (wanted === undefined) {
    writeFileSync(new URL('../../docs/commands.md', import.meta.url), commandsPage(judged))
  }
  const failed = judged.some(
    one => one.mistake !== '' || Object.values(one.verdicts).some(verdict => verdict.name === 'wrong'),
  )
  process.exitCode = failed ? 1 : 0
} finally {
  await targets.stop()
}
