/** The house rules that a machine can keep. Each check is shown to find what it looks for. */

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { functionSizes, importsOf, mentionsOf, ROOT, type SourceFile, sourceFiles } from './support/source-tree.ts'

const LONGEST_LINE = 160
const LONGEST_FUNCTION_LINES = 70

/** What each folder of `src` may import: folders, or single files of them. Every folder may import itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  shared: ['config/types.ts', 'stats/fields.ts'],
  hashkit: ['shared', 'config/types.ts'],
  protocol: ['shared'],
  routing: ['shared', 'hashkit', 'config/types.ts'],
  stats: ['shared', 'config/types.ts'],
  log: ['shared'],
  config: ['shared'],
  worker: ['shared', 'hashkit', 'protocol', 'routing', 'stats', 'log', 'config/types.ts'],
  control: ['shared', 'routing', 'stats', 'log', 'config'],
  main: ['shared', 'routing', 'stats', 'log', 'config', 'control'],
  dashboard: ['control/api-types.ts'],
}

/** The data plane imports no package. */
const DATA_PLANE = [
  'src/worker/',
  'src/protocol/',
  'src/hashkit/',
  'src/routing/',
  'src/shared/',
  'src/stats/writer.ts',
]

const SOURCE_ENTRIES = ['src/main/index.ts']

const source = sourceFiles(['src'], ['.ts'])
const tests = sourceFiles(['test'], ['.ts'])
const tools = sourceFiles(['bench', 'scripts'], ['.ts', '.mjs'])
const all = [...source, ...tests, ...tools]

function longLines(file: SourceFile): string[] {
  const lines = file.text.split('\n')
  return lines.flatMap((line, index) => (line.length > LONGEST_LINE ? [`${file.path}:${index + 1}`] : []))
}

function longFunctions(file: SourceFile): string[] {
  const long = functionSizes(file).filter(size => size.lines > LONGEST_FUNCTION_LINES)
  return long.map(size => `${file.path}:${size.line} has ${size.lines} lines`)
}

function hasHeader(file: SourceFile): boolean {
  return file.text.startsWith('/**')
}

function wrongImports(file: SourceFile): string[] {
  const folder = file.path.split('/')[1]!
  const allowed = MAY_IMPORT[folder]
  if (allowed === undefined) return [`${file.path}: no rule for src/${folder}`]
  return importsOf(file).flatMap(target => {
    if (target.startsWith('src/')) {
      const inside = target.slice('src/'.length)
      const fits = [folder, ...allowed].some(place => inside === place || inside.startsWith(`${place}/`))
      return fits ? [] : [`${file.path} imports ${target}`]
    }
    const isPackage = !target.startsWith('node:')
    return isPackage && DATA_PLANE.some(place => file.path.startsWith(place)) ? [`${file.path} imports ${target}`] : []
  })
}

/** Words that mark unfinished work, put together so that this file does not hold them. */
const MARKERS = new RegExp(
  `\\b(${['TO', 'FIX', 'XX'].map((start, index) => start + ['DO', 'ME', 'X'][index]).join('|')})\\b`,
)

function leftovers(file: SourceFile): string[] {
  const lines = file.text.split('\n')
  const focused = /\b(test|describe|it)\.only\b/
  return lines.flatMap((line, index) => (MARKERS.test(line) || focused.test(line) ? [`${file.path}:${index + 1}`] : []))
}

/** Files of `files` that cannot be reached from `entries` over what files mention. */
function unreachable(files: readonly SourceFile[], entries: readonly string[]): string[] {
  const byPath = new Map(files.map(file => [file.path, file]))
  const reached = new Set<string>()
  const waiting = [...entries]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const file = byPath.get(path)
    if (file === undefined || reached.has(path)) continue
    reached.add(path)
    waiting.push(...importsOf(file), ...mentionsOf(file))
  }
  return files.filter(file => !reached.has(file.path) && !file.path.endsWith('.d.ts')).map(file => file.path)
}

describe('house rules', () => {
  test('there is source to look at', () => {
    expect(source.length).toBeGreaterThan(30)
    expect(tests.length).toBeGreaterThan(20)
  })

  test(`no line is longer than ${LONGEST_LINE} characters`, () => {
    expect(all.flatMap(longLines)).toEqual([])
  })

  test(`no function in src is longer than ${LONGEST_FUNCTION_LINES} lines`, () => {
    expect(source.flatMap(longFunctions)).toEqual([])
  })

  test('every file in src begins with a comment that says why it exists', () => {
    expect(source.filter(file => !hasHeader(file)).map(file => file.path)).toEqual([])
  })

  test('imports point one way, and the data plane imports no package', () => {
    expect(source.flatMap(wrongImports)).toEqual([])
  })

  test('nothing unfinished and no focused test is left', () => {
    expect(all.flatMap(leftovers)).toEqual([])
  })

  test('every file in src is reached from the entry point', () => {
    expect(unreachable(source, SOURCE_ENTRIES)).toEqual([])
  })

  test('every helper in test is used by a test or a bench', () => {
    const scripts = Object.values<string>(JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')).scripts).join(' ')
    const isEntry = (file: SourceFile): boolean => file.path.endsWith('.test.ts') || scripts.includes(file.path)
    const entries = [...tests.filter(isEntry), ...tools].map(file => file.path)
    expect(unreachable([...tests, ...tools], entries)).toEqual([])
  })

  test('every vector file is read by a test', () => {
    const text = tests.map(file => file.text).join('\n')
    const vectors = sourceFiles(['test/vectors'], ['.json']).map(file => file.path.split('/').at(-1)!)
    expect(vectors.filter(name => !text.includes(name))).toEqual([])
  })
})

describe('the checks themselves', () => {
  const at = (path: string, text: string): SourceFile => ({ path, text })

  test('find a long line and a long function', () => {
    expect(longLines(at('src/a.ts', `ok\n${'x'.repeat(LONGEST_LINE + 1)}`))).toEqual(['src/a.ts:2'])
    const method = `class A {\n  b(): void {\n${'    c()\n'.repeat(LONGEST_FUNCTION_LINES)}  }\n}\n`
    expect(longFunctions(at('src/a.ts', method))).toEqual(['src/a.ts:2 has 72 lines'])
    expect(longFunctions(at('src/a.ts', `const a = (): void => {\n${'  c()\n'.repeat(60)}}\n`))).toEqual([])
  })

  test('find an import that points the wrong way, in every form', () => {
    expect(wrongImports(at('src/worker/a.ts', "import { a } from '../main/b.ts'\n"))).toHaveLength(1)
    expect(wrongImports(at('src/worker/a.ts', "import {\n  a,\n  b,\n} from '../config/parse.ts'\n"))).toHaveLength(1)
    expect(wrongImports(at('src/worker/a.ts', "import type { a } from 'pino'\n"))).toHaveLength(1)
    expect(wrongImports(at('src/worker/a.ts', "const a = await import('../main/b.ts')\n"))).toHaveLength(1)
    expect(wrongImports(at('src/main/a.ts', "import '../worker/index.ts'\n"))).toHaveLength(1)
    expect(wrongImports(at('src/main/a.ts', "export { a } from '../worker/index.ts'\n"))).toHaveLength(1)
    expect(wrongImports(at('src/attic/a.ts', ''))).toHaveLength(1)
    expect(
      wrongImports(at('src/worker/a.ts', "import { a } from '../protocol/resp/b.ts'\nimport net from 'node:net'\n")),
    ).toEqual([])
  })

  test('find what is left over and what is out of reach', () => {
    const marker = 'FIX' + 'ME'
    expect(leftovers(at('src/a.ts', `// ${marker}: later\n`))).toEqual(['src/a.ts:1'])
    expect(leftovers(at('test/a.test.ts', `test.${'only'}('x', () => {})\n`))).toEqual(['test/a.test.ts:1'])
    const files = [at('src/a.ts', "import './b.ts'\n"), at('src/b.ts', ''), at('src/c.ts', '')]
    expect(unreachable(files, ['src/a.ts'])).toEqual(['src/c.ts'])
  })
})
