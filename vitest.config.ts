import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Real servers, signals and time limits on a machine that may be busy: what fails there is tried again before it counts, and both tries are
    // in the log. Not so at home, where a failure is to be looked at.
    retry: process.env.CI === undefined ? 0 : 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
