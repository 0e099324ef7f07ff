import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig, syntaxLine, testConfigReport } from '../../../src/config/load.ts'
import { poolText, resolveForTests } from './support.ts'

const dependencies = { resolve: resolveForTests }
let directory = ''

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pistachio-config-'))
})

afterAll(() => rm(directory, { recursive: true }))

describe('loadConfig', () => {
  it('reads a file', async () => {
    const file = join(directory, 'good.yml')
    await writeFile(file, poolText('redis: true'))
    const result = await loadConfig(file, dependencies)
    expect(result).toMatchObject({ ok: true, config: { pools: [{ name: 'p', redis: true }] } })
    expect(testConfigReport(result, file)).toEqual({
      stderr: `nutcracker: configuration file '${file}' syntax is ok\n`,
      exitCode: 0,
    })
  })

  it('reads UTF-16 behind its byte order mark, as libyaml does', async () => {
    const file = join(directory, 'utf16.yml')
    await writeFile(file, Buffer.from(`\ufeff${poolText('redis: true')}`, 'utf16le'))
    expect(await loadConfig(file, dependencies)).toMatchObject({ ok: true })
  })

  it('reports our reason, then nutcracker’s line twice', async () => {
    const file = join(directory, 'bad.yml')
    await writeFile(file, poolText('redis: maybe'))
    const result = await loadConfig(file, dependencies)
    const summary = `nutcracker: configuration file '${file}' syntax is invalid`
    const reason = `${file}:3:10: directive "redis" is not "true" or "false": "maybe"; write true or false`
    expect(result).toEqual({
      ok: false,
      opened: true,
      reason,
      lines: ['conf: directive "redis" is not "true" or "false"'],
    })
    expect(testConfigReport(result, file)).toEqual({ stderr: `${reason}\n${summary}\n${summary}\n`, exitCode: 1 })
  })

  it('reports a file that cannot be opened with nutcracker’s line once', async () => {
    const file = join(directory, 'missing.yml')
    const result = await loadConfig(file, dependencies)
    expect(result).toEqual({
      ok: false,
      opened: false,
      lines: [`conf: failed to open configuration '${file}': No such file or directory`],
      reason: `${file}: cannot be opened: No such file or directory; name the file with -c`,
    })
    const summary = syntaxLine(file, false)
    expect(testConfigReport(result, file).stderr.split('\n').slice(1)).toEqual([summary, ''])
  })

  it('takes a directory for a file that opens and cannot be read', async () => {
    expect(await loadConfig(directory, dependencies)).toEqual({
      ok: false,
      opened: true,
      lines: ['conf: failed (err 2) to get the next yaml document'],
      reason: `${directory}: cannot be read: Is a directory; give a regular file with -c`,
    })
  })

  it('does not trip over a name that no file can have', async () => {
    expect(await loadConfig('a\0b', dependencies)).toMatchObject({ ok: false, opened: false })
  })
})

it('accepts the example configuration', async () => {
  const file = new URL('../../../conf/nutcracker.yml', import.meta.url).pathname
  const result = await loadConfig(file)
  expect(result).toMatchObject({
    ok: true,
    config: { pools: [{ name: 'cache' }, { name: 'store' }, { name: 'sessions' }] },
  })
})
