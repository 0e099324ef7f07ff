import { vi } from 'vitest'
import { socketCases } from '../../../support/worker/socket-cases.ts'

vi.mock('../../../../src/worker/memory/slab.ts', async real =>
  (await import('../../../support/worker/lending-ledger.ts')).countSlabs(await real()),
)

socketCases('raw')
