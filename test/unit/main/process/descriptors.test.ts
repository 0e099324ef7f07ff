import { expect, test } from 'vitest'
import { descriptorBudget, descriptorLimit, parseLimit } from '../../../../src/main/process/descriptors.ts'
import { LISTENERS_A_WORKER } from '../../../../src/shared/memory-layout.ts'
import { configOf, poolOf, serverAt } from '../../../support/generation.ts'

test('clients get what servers, listeners, workers and the process itself leave', () => {
  const servers = [serverAt('a'), serverAt('b'), serverAt('c')]
  const config = configOf(poolOf('p', { servers, serverConnections: 4 }), poolOf('q', { servers: [serverAt('a')] }))
  const budget = descriptorBudget(config, 2, 1024)
  expect(budget.maxServerConnections).toBe((3 * 4 + 1) * 2)
  expect(budget.maxClients).toBe(1024 - 26 - 40 - 2 * 8 - 2)
  expect(budget.fits).toBe(true)
  const shared = configOf(poolOf('p', { servers, serverConnections: 4, reuseport: true }))
  expect(descriptorBudget(shared, 2, 1024).maxClients).toBe(1024 - 24 - 40 - 2 * 8 - 2 * LISTENERS_A_WORKER)
})

test('where the servers alone need more than there is, clients still get a share and it is told', () => {
  const config = configOf(poolOf('p', { serverConnections: 100 }))
  expect(descriptorBudget(config, 2, 256)).toMatchObject({ maxClients: 64, fits: false })
  expect(descriptorBudget(config, 2, 2).maxClients).toBe(1)
})

test('without a limit there is no bound', () => {
  expect(descriptorBudget(configOf(poolOf('p')), 1, Infinity)).toMatchObject({ maxClients: Infinity, fits: true })
})

test("the soft limit is read from the kernel's table", () => {
  const table =
    'Limit        Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n'
  expect(parseLimit(table)).toBe(1024)
  expect(parseLimit(table.replace('1024', 'unlimited'))).toBe(Infinity)
  expect(parseLimit('nothing of it')).toBe(Infinity)
  expect(descriptorLimit()).toBeGreaterThan(0)
})
