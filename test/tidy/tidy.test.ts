/** The house rules that a machine can keep. Each check is shown to find what it looks for. */

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { roomTable } from '../../scripts/layers.ts'
import { DIRECTIVES } from '../../src/config/directives.ts'
import { OWN_USAGE_TEXT } from '../../src/main/command-line/usage.ts'
import { POOL_FIELDS, PROCESS_FIELDS, SERVER_FIELDS } from '../../src/shared/stat-fields.ts'
import { deadExports, unusedPackages } from './exports.ts'
import { EXCEPTIONS, importsAgainstLayers, LAYERS, largestCircles, layerOf, rowsOutOfOrder } from './layers.ts'
import { bannedIn, bannedInText, hashComments, missingFiles, missingFunctions } from './prose.ts'
import { LARGEST_CLASS_LINES, LARGEST_FILE_LINES, tooLarge } from './sizes.ts'
import { exportsOf, functionSizes, importsOf, mentionsOf, ROOT, type SourceFile, sourceFiles } from './source-tree.ts'

const LONGEST_LINE = 160
/** Rooms of src whose lines are as short as the formatter wants them. */
const SHORT_LINES = ['bytes', 'config', 'hashkit', 'log', 'main', 'routing', 'shared', 'stats'].map(
  room => `src/${room}/`,
)
const LONGEST_SHORT_LINE = 120
const LONGEST_FUNCTION_LINES = 70

/** The data plane imports no package. */
const DATA_PLANE = ['bytes', 'shared', 'hashkit', 'protocol', 'net', 'routing', 'worker'].map(room => `src/${room}/`)

/** What the threads of a process run. */
const SOURCE_ENTRIES = ['src/main/index.ts', 'src/worker/index.ts', 'src/routing/ring-table-task.ts']

const source = sourceFiles(['src'], ['.ts'])
const tests = sourceFiles(['test'], ['.ts'])
const tools = sourceFiles(['bench', 'scripts'], ['.ts', '.mjs'])
const all = [...source, ...tests, ...tools]

function filesNamed(...paths: string[]): SourceFile[] {
  return paths.map(path => ({ path, text: readFileSync(`${ROOT}/${path}`, 'utf8') }))
}

function longLines(file: SourceFile): string[] {
  const limit = SHORT_LINES.some(room => file.path.startsWith(room)) ? LONGEST_SHORT_LINE : LONGEST_LINE
  const lines = file.text.split('\n')
  return lines.flatMap((line, index) => (line.length > limit ? [`${file.path}:${index + 1}`] : []))
}

function longFunctions(file: SourceFile): string[] {
  const long = functionSizes(file).filter(size => size.lines > LONGEST_FUNCTION_LINES)
  return long.map(size => `${file.path}:${size.line} has ${size.lines} lines`)
}

/** Files whose exports must not be written again elsewhere. */
const SHARED_HELPERS = ['src/bytes/ascii.ts', 'src/bytes/text.ts', 'src/routing/placeholder.ts']

/**
 * @param names what the shared helpers export.
 * @returns constants and functions of the file that have one of these names.
 */
function secondDefinitions(file: SourceFile, names: ReadonlySet<string>): string[] {
  if (SHARED_HELPERS.includes(file.path)) return []
  const defined = [...file.text.matchAll(/^(?:export )?(?:const|function) (\w+)\b/gm)].map(match => match[1]!)
  return defined.filter(name => names.has(name)).map(name => `${file.path} defines ${name} again`)
}

function hasHeader(file: SourceFile): boolean {
  return file.text.startsWith('/**')
}

function packagesOnDataPlane(file: SourceFile): string[] {
  if (!DATA_PLANE.some(place => file.path.startsWith(place))) return []
  const packages = importsOf(file).filter(target => !target.startsWith('src/') && !target.startsWith('node:'))
  return packages.map(target => `${file.path} imports ${target}`)
}

/** In a worker every line can be caused by a client, so it goes through a `LimitedLog`. */
function unlimitedLines(file: SourceFile): string[] {
  if (!file.path.startsWith('src/worker/')) return []
  const lines = file.text.split('\n')
  const direct = /\blog\s*\.(alert|error|warn|notice|info)\(/
  return lines.flatMap((line, index) => (direct.test(line) ? [`${file.path}:${index + 1}`] : []))
}

/** `slice` of Node's Buffer is a view, though its type is Uint8Array here: the bytes change with the next read. */
function slicedBuffers(file: SourceFile): string[] {
  const lines = file.text.split('\n')
  return lines.flatMap((line, index) => (/\bbuf(fer)?\.slice\(/.test(line) ? [`${file.path}:${index + 1}`] : []))
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

  test('imports point to rooms above, but for the listed exceptions', () => {
    expect(rowsOutOfOrder(LAYERS)).toEqual([])
    expect(source.flatMap(importsAgainstLayers).sort()).toEqual([...EXCEPTIONS].sort())
  })

  test('every room has files', () => {
    const rooms = new Set(source.map(file => layerOf(file.path)?.room))
    expect(LAYERS.map(row => row.room).filter(room => !rooms.has(room))).toEqual([])
  })

  test('circles of imports stay inside a room, and its number is the largest one', () => {
    const found = largestCircles(source)
    const rows = LAYERS.map(row => [row.room, row.circle])
    expect(LAYERS.map(row => [row.room, found.get(row.room) ?? 1])).toEqual(rows)
  })

  test('the data plane imports no package', () => {
    expect(source.flatMap(packagesOnDataPlane)).toEqual([])
  })

  test('no line that a client can cause is written without a limit', () => {
    expect(source.flatMap(unlimitedLines)).toEqual([])
  })

  test('no part of a buffer is copied by `slice`, which makes a view of Node’s Buffer', () => {
    expect(source.flatMap(slicedBuffers)).toEqual([])
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

describe('sizes and words', () => {
  test('no file and no class is too large', () => {
    expect(source.flatMap(tooLarge)).toEqual([])
  })

  test('no comment in src has a banned word', () => {
    expect(source.flatMap(bannedIn)).toEqual([])
  })
})

describe('one definition for all of src', () => {
  test('of every ASCII code and text helper', () => {
    const names = SHARED_HELPERS.flatMap(path => exportsOf(source.find(file => file.path === path)!))
    expect(source.flatMap(file => secondDefinitions(file, new Set(names.map(({ name }) => name))))).toEqual([])
  })
})

describe('exports, packages and pages', () => {
  test('every exported value of src has a user there, or is marked as one for tests', () => {
    expect(deadExports(source)).toEqual([])
  })

  test('every dependency is imported', () => {
    const { dependencies } = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8'))
    expect(unusedPackages(Object.keys(dependencies), source)).toEqual([])
  })

  test('every source file that a comment or page names exists', () => {
    const paths = all.map(file => file.path)
    const pages = sourceFiles(['docs'], ['.md']).filter(page => !page.path.startsWith('docs/decisions/'))
    expect([...source, ...pages].flatMap(file => missingFiles(file, paths))).toEqual([])
  })

  test('pages and help texts have no banned words', () => {
    const generated = ['docs/benchmarks.md', 'docs/commands.md']
    const pages = [
      ...sourceFiles(['docs', 'deploy'], ['.md']),
      ...filesNamed('README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'),
    ]
    const written = pages.filter(page => !page.path.startsWith('docs/decisions/') && !generated.includes(page.path))
    expect(written.length).toBeGreaterThan(12)
    const fields = [...PROCESS_FIELDS, ...POOL_FIELDS, ...SERVER_FIELDS].map(field => [field.name, field.description])
    const helps = [...DIRECTIVES.map(each => [each.key, each.help]), ...fields, ['--help', OWN_USAGE_TEXT]]
    expect([
      ...written.flatMap(page => bannedInText(page.path, page.text)),
      ...helps.flatMap(([name, text]) => bannedInText(name!, text!)),
    ]).toEqual([])
  })

  test('comments of scripts, examples and deployment files have no banned words', () => {
    const shells = [
      ...filesNamed('bin/pistachio', 'Dockerfile', '.ci/run', 'conf/nutcracker.yml'),
      ...sourceFiles(
        ['deploy'],
        ['.yml', '.cfg', '.service', '.conf', 'reload', 'default', 'postinst', 'prerm', 'postrm'],
      ),
    ]
    expect(shells.length).toBeGreaterThan(8)
    expect([
      ...tools.flatMap(bannedIn),
      ...shells.flatMap(file => bannedInText(file.path, hashComments(file.text))),
    ]).toEqual([])
  })

  test('every function that a page names exists', () => {
    const pages = sourceFiles(['docs'], ['.md']).filter(page => !page.path.startsWith('docs/decisions/'))
    expect(pages.flatMap(page => missingFunctions(page, all))).toEqual([])
    const path = pages.find(page => page.path === 'docs/request-path.md')!
    expect(path.text.match(/\.ts:\w/g)!.length).toBeGreaterThan(40)
  })

  test('every page is in the index', () => {
    const index = readFileSync(`${ROOT}/docs/README.md`, 'utf8')
    const names = sourceFiles(['docs'], ['.md']).map(page => page.path.slice('docs/'.length))
    const pages = names.filter(name => name !== 'README.md' && !name.includes('/'))
    expect(pages.filter(name => !index.includes(`(${name})`))).toEqual([])
  })

  test('every decision is in the index', () => {
    const index = readFileSync(`${ROOT}/docs/decisions/README.md`, 'utf8')
    const names = sourceFiles(['docs/decisions'], ['.md']).map(file => file.path.split('/').at(-1)!)
    expect(names.filter(name => name !== 'README.md' && !index.includes(`(${name})`))).toEqual([])
  })

  test('the architecture page has the rooms as they are', () => {
    expect(readFileSync(`${ROOT}/docs/architecture.md`, 'utf8')).toContain(roomTable())
  })
})

describe('the checks themselves', () => {
  const at = (path: string, text: string): SourceFile => ({ path, text })

  test('find a long line and a long function', () => {
    expect(longLines(at('src/a.ts', `ok\n${'x'.repeat(LONGEST_LINE + 1)}`))).toEqual(['src/a.ts:2'])
    expect(longLines(at('src/log/a.ts', 'x'.repeat(LONGEST_SHORT_LINE + 1)))).toEqual(['src/log/a.ts:1'])
    const method = `class A {\n  b(): void {\n${'    c()\n'.repeat(LONGEST_FUNCTION_LINES)}  }\n}\n`
    expect(longFunctions(at('src/a.ts', method))).toEqual(['src/a.ts:2 has 72 lines'])
    expect(longFunctions(at('src/a.ts', `const a = (): void => {\n${'  c()\n'.repeat(60)}}\n`))).toEqual([])
  })

  test('find an import that points the wrong way, in every form', () => {
    const wrong = (path: string, text: string): string[] => importsAgainstLayers(at(path, text))
    expect(wrong('src/worker/io/a.ts', "import { a } from '../request/b.ts'\n")).toHaveLength(1)
    expect(wrong('src/worker/io/a.ts', "import {\n  a,\n  b,\n} from '../../config/parse.ts'\n")).toHaveLength(1)
    expect(wrong('src/worker/io/a.ts', "import type { a } from '../request/b.ts'\n")).toHaveLength(1)
    expect(wrong('src/worker/a.ts', "const a = await import('../main/b.ts')\n")).toHaveLength(1)
    expect(wrong('src/main/a.ts', "import '../worker/index.ts'\n")).toHaveLength(1)
    expect(wrong('src/main/a.ts', "export { a } from '../worker/index.ts'\n")).toHaveLength(1)
    expect(wrong('src/attic/a.ts', '')).toEqual(['src/attic/a.ts has no room'])
    expect(wrong('src/worker/redis/a.ts', "import { a } from '../../protocol/redis/b.ts'\n")).toEqual([])
    expect(
      packagesOnDataPlane(at('src/worker/a.ts', "import type { a } from 'pino'\nimport 'node:net'\n")),
    ).toHaveLength(1)
  })

  test('find a row out of order and a circle', () => {
    const [first, second] = [LAYERS[0]!, LAYERS[1]!]
    expect(rowsOutOfOrder([second, first])).toEqual(['shared names bytes'])
    const files = [
      at('src/log/a.ts', "import './b.ts'\n"),
      at('src/log/b.ts', "import type { c } from './c.ts'\n"),
      at('src/log/c.ts', "import './a.ts'\n"),
      at('src/log/d.ts', "import './a.ts'\n"),
    ]
    expect(largestCircles(files).get('log')).toBe(3)
    expect(largestCircles(files.slice(1)).size).toBe(0)
  })

  test('find a second definition', () => {
    const names = new Set(['STAR', 'latin1'])
    const text = 'const STAR = 42\nexport const START = 1\nfunction latin1(): void {}\n'
    expect(secondDefinitions(at('src/a.ts', text), names)).toEqual([
      'src/a.ts defines STAR again',
      'src/a.ts defines latin1 again',
    ])
    expect(secondDefinitions(at(SHARED_HELPERS[0]!, text), names)).toEqual([])
  })

  test('find a line without a limit', () => {
    expect(unlimitedLines(at('src/worker/a.ts', "context.log.notice('a')\n"))).toEqual(['src/worker/a.ts:1'])
    expect(unlimitedLines(at('src/worker/a.ts', "limitedLog.notice('a', () => 'b')\n"))).toEqual([])
    expect(unlimitedLines(at('src/main/a.ts', "log.notice('a')\n"))).toEqual([])
  })

  test('find a part of a buffer that is no copy', () => {
    expect(slicedBuffers(at('src/worker/a.ts', '\nkeep(buf.slice(start, end))\n'))).toEqual(['src/worker/a.ts:2'])
    expect(slicedBuffers(at('src/worker/a.ts', 'Uint8Array.prototype.slice.call(buf, 1, 2)\n'))).toEqual([])
  })

  test('find what is left over and what is out of reach', () => {
    const marker = 'FIX' + 'ME'
    expect(leftovers(at('src/a.ts', `// ${marker}: later\n`))).toEqual(['src/a.ts:1'])
    expect(leftovers(at('test/a.test.ts', `test.${'only'}('x', () => {})\n`))).toEqual(['test/a.test.ts:1'])
    const files = [at('src/a.ts', "import './b.ts'\n"), at('src/b.ts', ''), at('src/c.ts', '')]
    expect(unreachable(files, ['src/a.ts'])).toEqual(['src/c.ts'])
  })

  test('find what is too large', () => {
    expect(tooLarge(at('src/a.ts', '\n'.repeat(LARGEST_FILE_LINES + 1)))).toEqual(['src/a.ts has 401 lines'])
    const long = `class A {\n${'  b = 1\n'.repeat(LARGEST_CLASS_LINES - 1)}}\n`
    expect(tooLarge(at('src/a.ts', long))).toEqual(['src/a.ts: class A has 301 lines'])
    expect(tooLarge(at('src/config/directives.ts', '\n'.repeat(900)))).toEqual([])
  })

  test('find an export and a dependency without a user', () => {
    const text =
      '/** For tests. @testOnly */\nexport const a = 1\nexport const b = 2\nexport const c = 3\nexport type D = 1\n'
    const files = [at('src/a.ts', text), at('src/b.ts', "import { c } from './a.ts'\nimport 'pino'\n")]
    expect(deadExports(files)).toEqual(['src/a.ts exports b'])
    expect(unusedPackages(['pino', 'yaml'], files)).toEqual(['yaml'])
  })

  test('find banned words in comments only, and files that do not exist', () => {
    const text = "// whoever waits\nconst a = 'nobody' // built anew, see b.ts and a.ts\n/**\n * So long.\n */\n"
    const file = at('src/a.ts', text)
    expect(bannedIn(file)).toEqual(['src/a.ts:1: whoever', 'src/a.ts:2: anew', 'src/a.ts:4: So long'])
    expect(missingFiles(file, ['src/a.ts'])).toEqual(['src/a.ts names b.ts'])
  })

  test('find banned words in a page and in the comments of a script', () => {
    expect(bannedInText('a.md', 'One.\nIt is built anew, and likewise')).toEqual(['a.md:2: anew', 'a.md:2: likewise'])
    expect(bannedInText('a.sh', hashComments('nobody=1\nb=$#  # by whoever'))).toEqual(['a.sh:2: whoever'])
  })

  test('find a function that does not exist', () => {
    const files = [
      at('src/io/a.ts', 'export function b(): void {}\nclass D {\n  private async e(): void {\n    f()\n  }\n}\n'),
    ]
    const page = at('docs/a.md', '`io/a.ts:b` ─▶ a.ts:e, a.ts:f `a.ts:D` b.ts:b')
    expect(missingFunctions(page, files)).toEqual(['docs/a.md names a.ts:f', 'docs/a.md names b.ts:b'])
  })
})
