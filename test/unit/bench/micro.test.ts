import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Suite } from '../../../bench/micro/suite.ts'

const FOLDER = new URL('../../../bench/micro/', import.meta.url)
const FILES = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.bench.ts'))

describe('each micro benchmark', () => {
  it.each(FILES)('%s names its tasks once and they run', async file => {
    const { suite } = (await import(new URL(file, FOLDER).href)) as { suite: Suite }
    expect(suite.name).not.toBe('')
    expect(new Set(suite.tasks.map(task => task.name)).size).toBe(suite.tasks.length)
    for (const task of suite.tasks) {
      expect(task.batch).toBeGreaterThan(0)
      task.fn()
    }
  })
})
