/** The same over `net.Socket`, for a Node whose internals have changed. */

import { vi } from 'vitest'
import { socketCases } from './socket-cases.ts'

vi.hoisted(() => {
  process.env.PISTACHIO_SOCKETS = 'stream'
})

vi.mock('../../../src/worker/slab.ts', async real => (await import('./ledger.ts')).countSlabs(await real()))

socketCases('stream')
