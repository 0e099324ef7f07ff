import { vi } from 'vitest'
import { socketCases } from './socket-cases.ts'

vi.mock('../../../src/worker/slab.ts', async real => (await import('./ledger.ts')).countSlabs(await real()))

socketCases('raw')
