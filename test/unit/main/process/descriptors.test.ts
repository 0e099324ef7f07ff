import { expect, test } from 'vitest'
import {
  DescriptorLimit,
  descriptorBudget,
  descriptorLimit,
  openDescriptors,
  parseLimit,
} from '../../../../src/main/process/descriptors.ts'
import { LISTENERS_A_WORKER } from '../../../../src/shared/memory-layout.ts'
import { configOf, poolOf, serverAt } from '../../../support/generation.ts'

test('clients get what servers, listeners, the process itself and a reserve leave', () => {
  const servers = [serverAt('a'), serverAt('b'), serverAt('c')]
  const config = configOf(poolOf('p', { servers, serverConnections: 4 }), poolOf('q', { servers: [serverAt('a')] }))
  const budget = descriptorBudget(config, 2, 1024, 48)
  expect(budget.maxServerConnections).toBe((3 * 4 + 1) * 2)
  expect(budget.maxClients).toBe(1024 - 50 - 2 - 26 - 12)
  expect(budget.fits).toBe(true)
  const shared = configOf(poolOf('p', { servers, serverConnections: 4, reuseport: true }))
  const reserve = 12 + 3 * 2 * LISTENERS_A_WORKER
  expect(descriptorBudget(shared, 2, 1024, 48)).toMatchObject({
    reserve,
    maxClients: 1024 - 50 - 2 * LISTENERS_A_WORKER - 24 - reserve,
  })
})

test('where descriptors are few, the reserve is small', () => {
  const config = configOf(poolOf('p', { servers: [serverAt('a')] }))
  expect(descriptorBudget(config, 1, 40, 29)).toMatchObject({ reserve: 3, maxClients: 5, fits: true })
  expect(descriptorBudget(config, 1, 33, 29)).toMatchObject({ reserve: 0, maxClients: 1, fits: true })
  expect(descriptorBudget(config, 1, 31, 29).maxClients).toBe(0)
})

test('workers need some to start', () => {
  const canStart = (workers: number, limit: number): boolean => new DescriptorLimit(workers).canStart(limit)
  expect([canStart(1, 30), canStart(1, 31), canStart(2, 36), canStart(2, Infinity)]).toEqual([false, true, false, true])
})

test('where the servers alone need more than there is, clients still get a share and it is told', () => {
  const config = configOf(poolOf('p', { serverConnections: 100 }))
  expect(descriptorBudget(config, 2, 256, 41)).toMatchObject({ maxClients: 50, fits: false })
})

test('without a limit there is no bound', () => {
  expect(descriptorBudget(configOf(poolOf('p')), 1, Infinity, 0)).toMatchObject({ maxClients: Infinity, fits: true })
})

test("the soft limit is read from the kernel's table", () => {
  const table =
    'Limit        Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n'
  expect(parseLimit(table)).toBe(1024)
  expect(parseLimit(table.replace('1024', 'unlimited'))).toBe(Infinity)
  expect(parseLimit('nothing of it')).toBe(Infinity)
  expect(descriptorLimit()).toBeGreaterThan(0)
  expect(openDescriptors()).toBeGreaterThan(3)
})
