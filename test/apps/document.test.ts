/** `docs/applications.md` says what the tests show. `WRITE_DOCS=1` writes the tables. */

import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Application, documentLine, TABLE_HEAD } from './application.ts'
import { MEMCACHE_APPLICATIONS, MEMCACHE_SHORT } from './memcache-applications.ts'
import { DOCUMENT, readDocument } from './programs.ts'
import { REDIS_FROM_DEBIAN, REDIS_FROM_NPM, REDIS_SHORT } from './redis-applications.ts'

test.each([
  { name: 'redis', applications: [...REDIS_SHORT, ...REDIS_FROM_NPM, ...REDIS_FROM_DEBIAN] },
  { name: 'memcached', applications: [...MEMCACHE_SHORT, ...MEMCACHE_APPLICATIONS] },
])('the table of $name applications is what is tried', ({ name, applications }) => {
  const expected = inserted(name, applications)
  if (process.env.WRITE_DOCS === '1') writeFileSync(DOCUMENT, expected)
  expect(readDocument()).toBe(expected)
})

/** @returns the document with the table between its two marks. */
function inserted(name: string, applications: readonly Application[]): string {
  const table = [...TABLE_HEAD, ...applications.map(documentLine)].join('\n')
  const [begin, end] = [`<!-- ${name} applications -->`, `<!-- end of ${name} applications -->`]
  const [before, after] = [readDocument().split(begin), readDocument().split(end)]
  expect([before.length, after.length]).toEqual([2, 2])
  return `${before[0]}${begin}\n${table}\n${end}${after[1]}`
}
