/** The file of `-p`. */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkPidFile, removePidFile, writePidFile } from '../../../../src/main/process/pid-file.ts'

let folder = ''
let path = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pistachio-pid-'))
  path = join(folder, 'proxy.pid')
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('writePidFile', () => {
  it('writes the decimal pid without a newline, mode 0644', () => {
    expect(writePidFile(path)).toBe('')
    expect(readFileSync(path, 'utf8')).toBe(String(process.pid))
    expect(statSync(path).mode & 0o777).toBe(0o644 & ~process.umask())
  })

  it('overwrites an old file whole', () => {
    writeFileSync(path, '12345678901234567890')
    expect(writePidFile(path)).toBe('')
    expect(readFileSync(path, 'utf8')).toBe(String(process.pid))
  })

  it('says why in nutcracker’s words when it cannot', () => {
    const missing = join(folder, 'missing', 'proxy.pid')
    expect(writePidFile(missing)).toBe(`opening pid file '${missing}' failed: No such file or directory`)
    expect(writePidFile(folder)).toBe(`opening pid file '${folder}' failed: Is a directory`)
  })
})

describe('checkPidFile', () => {
  it('touches nothing', () => {
    expect(checkPidFile(path)).toBe('')
    expect(() => statSync(path)).toThrow()
    writeFileSync(path, '17')
    expect(checkPidFile(path)).toBe('')
    expect(readFileSync(path, 'utf8')).toBe('17')
  })

  it('says what writing would say', () => {
    for (const bad of [join(folder, 'missing', 'proxy.pid'), folder]) expect(checkPidFile(bad)).toBe(writePidFile(bad))
  })
})

describe('removePidFile', () => {
  it('removes our file', () => {
    writePidFile(path)
    removePidFile(path)
    expect(() => statSync(path)).toThrow()
  })

  it('leaves a successor’s file alone', () => {
    writeFileSync(path, String(process.pid + 1))
    removePidFile(path)
    expect(readFileSync(path, 'utf8')).toBe(String(process.pid + 1))
  })

  it('is content when there is none', () => {
    removePidFile(path)
  })
})
