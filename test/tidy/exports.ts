/** Exports without a user, and dependencies without an import. */

import { exportsOf, importedNames, importsOf, type SourceFile } from './source-tree.ts'

/** Marks in the comment above an export: only tests use it; a thread's loader finds it by name. */
const MARKS = ['@testOnly', '@entry']

/**
 * Types may be exported without a user: they name what the exported functions take and give.
 * @param source all files of `src`. A value that is used within its own file only need not be
 * exported.
 * @returns exports of values that no other file of `src` imports and that are not marked.
 */
export function deadExports(source: readonly SourceFile[]): string[] {
  const used = new Set<string>()
  for (const file of source) for (const { target, name } of importedNames(file)) used.add(`${target} ${name}`)
  return source.flatMap(file => {
    const all = used.has(`${file.path} *`)
    return exportsOf(file)
      .filter(({ name, comment, isType }) => {
        return !isType && !all && !used.has(`${file.path} ${name}`) && !MARKS.some(mark => comment.includes(mark))
      })
      .map(({ name }) => `${file.path} exports ${name}`)
  })
}

/** @returns packages of `dependencies` that no file imports. */
export function unusedPackages(packages: readonly string[], files: readonly SourceFile[]): string[] {
  const imported = files.flatMap(importsOf)
  return packages.filter(name => !imported.some(target => target === name || target.startsWith(`${name}/`)))
}
