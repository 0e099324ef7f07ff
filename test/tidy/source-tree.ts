/** The project's own source files and what they say about themselves, for the test that keeps the house rules. */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAst } from 'vitest/node'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface SourceFile {
  /** From the project's root, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** All files under `folders` whose names end in one of `endings`. Folders that do not exist are empty. */
export function sourceFiles(folders: readonly string[], endings: readonly string[]): SourceFile[] {
  return folders.flatMap(folder => {
    const names = list(join(ROOT, folder)).filter(name => endings.some(ending => name.endsWith(ending)))
    return names.sort().map(name => {
      const path = relative(ROOT, name)
      return { path, text: readFileSync(name, 'utf8') }
    })
  })
}

function list(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true, recursive: true })
    return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  /** Of imports and exports: the literal after `from`. */
  readonly source?: { readonly value?: unknown } | null
}

const FUNCTION_TYPES = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']
const IMPORT_TYPES = [
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
]

export interface FunctionSize {
  /** Line on which the function begins, from 1. */
  readonly line: number
  readonly lines: number
}

/** Every function, method and arrow function of a TypeScript file. */
export function functionSizes(file: SourceFile): FunctionSize[] {
  const sizes: FunctionSize[] = []
  visit(parseAst(file.text, { lang: 'ts' }, file.path), node => {
    if (!FUNCTION_TYPES.includes(node.type)) return
    const line = lineAt(file.text, node.start)
    sizes.push({ line, lines: lineAt(file.text, node.end) - line + 1 })
  })
  return sizes
}

function visit(value: unknown, see: (node: Node) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, see)
  } else if (typeof value === 'object' && value !== null) {
    if ('type' in value && 'start' in value) see(value as Node)
    for (const child of Object.values(value)) visit(child, see)
  }
}

function lineAt(text: string, offset: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++
  return line
}

/** What a file imports or re-exports: relative specifiers resolved to paths from the root, others as they stand. */
export function importsOf(file: SourceFile): string[] {
  const specifiers: string[] = []
  visit(parseAst(file.text, { lang: 'ts' }, file.path), node => {
    if (!IMPORT_TYPES.includes(node.type)) return
    const specifier = node.source?.value
    if (typeof specifier === 'string') specifiers.push(resolve(file.path, specifier))
  })
  return specifiers
}

/** Every path to another source file that occurs as a string: imports, worker entries, files read at run time. */
export function mentionsOf(file: SourceFile): string[] {
  const quoted = [...file.text.matchAll(/['"`]([\w@./-]+?)(?:\.ts['"`]|\$\{extname\()/g)]
  return quoted.map(match => resolve(file.path, `${match[1]!.startsWith('.') ? '' : './'}${match[1]}.ts`))
}

function resolve(from: string, specifier: string): string {
  return specifier.startsWith('.') ? normalize(join(dirname(from), specifier)) : specifier
}
