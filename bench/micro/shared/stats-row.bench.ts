/**
 * What the request path pays for its statistics: plain additions to the thread's own row, beside
 * the atomic ones it does without.
 */

import { SharedLayout } from '../../../src/shared/memory-layout.ts'
import { ServerStat } from '../../../src/shared/stat-fields.ts'
import { BATCH, type Suite, sink } from '../suite.ts'

const layout = new SharedLayout(1, [{ servers: 4, points: 8, bucketBits: 1 }])
const shared = layout.allocate()
const row = layout.row(shared, 1)
const health = layout.health(shared, 0, 0)
const servers = [0, 1, 2, 3].map(server => layout.serverStat(0, server))

/** The four that a forwarded request and its reply touch. */
function countRequests(): void {
  for (let i = 0; i < BATCH; i++) {
    const base = servers[i & 3]!
    row[base + ServerStat.requests]!++
    row[base + ServerStat.requestBytes]! += 40
    row[base + ServerStat.responses]!++
    row[base + ServerStat.responseBytes]! += 39
  }
  sink.value += row[servers[0]!]!
}

function addAtomically(): void {
  for (let i = 0; i < BATCH; i++) {
    Atomics.add(health, 1, 1)
    Atomics.add(health, 2, 40)
    Atomics.add(health, 3, 1)
    Atomics.add(health, 4, 39)
  }
  sink.value += health[1]!
}

export const suite: Suite = {
  name: 'stats, four counters a request',
  tasks: [
    { name: 'plain, own row', batch: BATCH, fn: countRequests },
    { name: 'Atomics.add', batch: BATCH, fn: addAtomically },
  ],
}
