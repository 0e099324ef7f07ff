/**
 * The project's own source files and what they say about themselves, for the test that keeps the
 * house rules.
 */

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

/**
 * All files under `folders` whose names end in one of `endings`. Folders that do not exist are
 * empty.
 */
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
  readonly id?: { readonly name: string } | null
  readonly declaration?: Node | null
  readonly declarations?: readonly Node[]
  readonly specifiers?: readonly Node[]
  readonly imported?: { readonly name: string }
  readonly local?: { readonly name: string }
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

/**
 * What a file imports or re-exports: relative specifiers resolved to paths from the root, others as
 * they stand.
 */
export function importsOf(file: SourceFile): string[] {
  const specifiers: string[] = []
  visit(parseAst(file.text, { lang: 'ts' }, file.path), node => {
    if (!IMPORT_TYPES.includes(node.type)) return
    const specifier = node.source?.value
    if (typeof specifier === 'string') specifiers.push(resolve(file.path, specifier))
  })
  return specifiers
}

/**
 * Every path to another source file that occurs as a string: imports, worker entries, files read at
 * run time.
 */
export function mentionsOf(file: SourceFile): string[] {
  const quoted = [...file.text.matchAll(/['"`]([\w@./-]+?)(?:\.ts['"`]|\$\{extname\()/g)]
  return quoted.map(match => resolve(file.path, `${match[1]!.startsWith('.') ? '' : './'}${match[1]}.ts`))
}

function resolve(from: string, specifier: string): string {
  return specifier.startsWith('.') ? normalize(join(dirname(from), specifier)) : specifier
}

export interface ClassSize {
  readonly name: string
  readonly lines: number
}

/** Every class of a TypeScript file. */
export function classSizes(file: SourceFile): ClassSize[] {
  const sizes: ClassSize[] = []
  visit(parse(file), node => {
    if (node.type !== 'ClassDeclaration' && node.type !== 'ClassExpression') return
    const lines = lineAt(file.text, node.end) - lineAt(file.text, node.start) + 1
    sizes.push({ name: node.id?.name ?? '', lines })
  })
  return sizes
}

export interface Comment {
  readonly text: string
  /** Line on which it begins, from 1. */
  readonly line: number
}

/** Every comment of a TypeScript file, without the marks around it. */
export function commentsOf(file: SourceFile): Comment[] {
  const strings: (readonly [number, number])[] = []
  visit(parse(file), node => {
    if (['Literal', 'TemplateElement'].includes(node.type)) strings.push([node.start, node.end])
  })
  const found = [...file.text.matchAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g)]
  return found
    .filter(match => !strings.some(([start, end]) => match.index >= start && match.index < end))
    .map(match => ({ text: match[0], line: lineAt(file.text, match.index) }))
}

export interface Export {
  readonly name: string
  /** The comment right above it, or ''. */
  readonly comment: string
  readonly isType: boolean
}

const TYPE_DECLARATIONS = ['TSInterfaceDeclaration', 'TSTypeAliasDeclaration']

/** What a file exports by name. */
export function exportsOf(file: SourceFile): Export[] {
  const found: Export[] = []
  for (const node of parse(file).body) {
    if (node.type !== 'ExportNamedDeclaration' || node.declaration == null) continue
    const { declaration } = node
    const above = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*$/.exec(file.text.slice(0, node.start))
    const comment = above?.[0] ?? ''
    const isType = TYPE_DECLARATIONS.includes(declaration.type)
    const names = declaration.declarations?.map(each => each.id?.name) ?? [declaration.id?.name]
    for (const name of names) if (name !== undefined) found.push({ name, comment, isType })
  }
  return found
}

/**
 * Every name that a file imports from another file; `*` = all of it, or what is not known by name.
 */
export function importedNames(file: SourceFile): { readonly target: string; readonly name: string }[] {
  const found: { target: string; name: string }[] = []
  visit(parse(file), node => {
    const specifier = node.source?.value
    if (!IMPORT_TYPES.includes(node.type) || typeof specifier !== 'string') return
    const target = resolve(file.path, specifier)
    const specifiers = node.specifiers ?? []
    const names = specifiers.map(each => each.imported?.name ?? each.local?.name ?? '*')
    const isWhole = specifiers.length === 0 || specifiers.some(each => each.type === 'ImportNamespaceSpecifier')
    for (const name of isWhole ? ['*'] : names) found.push({ target, name })
  })
  return found
}

function parse(file: SourceFile): Node & { readonly body: readonly Node[] } {
  return parseAst(file.text, { lang: 'ts' }, file.path) as unknown as Node & { readonly body: readonly Node[] }
}
