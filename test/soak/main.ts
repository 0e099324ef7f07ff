/** `npm run soak -- [minutes]`: runs the soak and says whether everything stayed flat. Exit code 1 when it did not, or a reply was wrong. */

import { stopAll } from '../support/processes/child.ts'
import { runSeed } from '../support/random.ts'
import { runSoak } from './soak.ts'

const DEFAULT_MINUTES = 5
const SHOWN_VIOLATIONS = 20

const minutes = Number(process.argv[2] ?? DEFAULT_MINUTES)
if (!(minutes > 0)) {
  console.error(`Not a number of minutes: ${process.argv[2]}`)
  process.exit(1)
}
console.log(`soaking for ${minutes} minutes`)
const result = await runSoak({ ms: minutes * 60_000, seed: runSeed(), report: line => console.log(line) })
await stopAll()
for (const violation of result.violations.slice(0, SHOWN_VIOLATIONS)) console.log(`WRONG ${violation}`)
console.log(
  `${result.checked} replies checked, ${result.errors} errors that were due, ${result.violations.length} wrong`,
)
process.exit(result.violations.length === 0 && result.risen.length === 0 ? 0 : 1)
