/** How large files and classes of `src` may be. */

import { classSizes, type SourceFile } from './source-tree.ts'

export const LARGEST_FILE_LINES = 400
export const LARGEST_CLASS_LINES = 300

/** Files that are one table of data, and may be as long as their table. */
export const DATA_FILES: readonly string[] = ['src/config/directives.ts', 'src/protocol/redis/commands-data.ts']

/** @returns files and classes that are too large, with their size. */
export function tooLarge(file: SourceFile): string[] {
  const found: string[] = []
  const lines = file.text.split('\n').length - 1
  if (lines > LARGEST_FILE_LINES && !DATA_FILES.includes(file.path)) found.push(`${file.path} has ${lines} lines`)
  for (const { name, lines: classLines } of classSizes(file)) {
    if (classLines > LARGEST_CLASS_LINES) found.push(`${file.path}: class ${name} has ${classLines} lines`)
  }
  return found
}
