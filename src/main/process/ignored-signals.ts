/**
 * Signals that were ignored when the program was started (`trap '' TERM`, `nohup`). A program
 * inherits that, and nutcracker keeps it for every signal that it does not handle; but Node sets
 * all signals to their defaults before any JavaScript runs. So `bin/pistachio` reads the kernel's
 * mask and passes it on. For the one-file executable nothing reads the mask. Called by `index.ts`
 * on the primary thread.
 */

import { constants } from 'node:os'

/** Set by `bin/pistachio`: the line `SigIgn` of /proc/self/status, 16 hexadecimal digits. */
const MASK = 'PISTACHIO_IGNORED_SIGNALS'

/** Names of the ignored signals. Removes the mask from the environment. */
export function inheritedIgnored(env: NodeJS.ProcessEnv = process.env): ReadonlySet<NodeJS.Signals> {
  const mask = env[MASK] ?? ''
  delete env[MASK]
  const ignored = new Set<NodeJS.Signals>()
  if (!/^[0-9a-f]{1,16}$/.test(mask)) return ignored
  const bits = BigInt(`0x${mask}`)
  for (const [name, number] of Object.entries(constants.signals)) {
    if ((bits >> BigInt(number - 1)) & 1n) ignored.add(name as NodeJS.Signals)
  }
  return ignored
}
