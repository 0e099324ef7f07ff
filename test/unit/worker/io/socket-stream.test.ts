/** The same over `net.Socket`, for a Node whose internals have changed. */

import { vi } from 'vitest'
import { socketCases } from '../../../support/worker/socket-cases.ts'

vi.hoisted(() => {
  process.env.PISTACHIO_SOCKETS = 'stream'
})

vi.mock('../../../../src/worker/memory/slab.ts', async real =>
  (await import('../../../support/worker/lending-ledger.ts')).countSlabs(await real()),
)

socketCases('stream')
