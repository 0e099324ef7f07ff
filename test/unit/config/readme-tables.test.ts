import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DIRECTIVES } from '../../../src/config/directives.ts'
import { directiveTable } from './directive-table.ts'
import { configOf } from './support.ts'

const file = new URL('../../../README.md', import.meta.url)

describe('a table of directives', () => {
  it.each([false, true])('has a row of five cells for each key (own: %s)', own => {
    const rows = directiveTable(own).split('\n').slice(2)
    const keys = DIRECTIVES.filter(each => each.own === own).map(each => `\`${each.key}\``)
    expect(rows.map(row => row.split(' | ')[0]!.slice(2))).toEqual(keys)
    for (const row of rows) expect(row.split('|').length).toBe(7)
  })

  it('shows unit, range and default', () => {
    expect(directiveTable(true)).toContain('| `tcpkeepalive_idle` | 0 to 32767 | s | `0` |')
    expect(directiveTable(false)).toContain('| `server_retry_timeout` | 0 to 2147483647 | ms | `30000` |')
  })

  it.runIf(existsSync(file)).each([false, true])('stands in the README as generated (own: %s)', own => {
    expect(readFileSync(file, 'utf8')).toContain(directiveTable(own))
  })
})

describe.runIf(existsSync(file))('the example in the README', () => {
  it('is a valid configuration of one pool with three servers', async () => {
    const [, example = ''] = /```yaml\n(.*?)```/s.exec(readFileSync(file, 'utf8')) ?? []
    const { pools } = await configOf(example)
    expect(pools.map(pool => [pool.name, pool.redis, pool.servers.length])).toEqual([['cache', true, 3]])
  })
})
