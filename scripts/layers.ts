/**
 * Prints the rooms of `src` as a graph: files and lines of each, what it imports, and its largest circle. `npm run layers`; with
 * `--markdown` the table that `docs/architecture.md` has.
 */

import { LAYERS, largestCircles, layerOf } from '../test/tidy/layers.ts'
import { importsOf, type SourceFile, sourceFiles } from '../test/tidy/source-tree.ts'

interface Room {
  readonly name: string
  readonly files: readonly SourceFile[]
  readonly lines: number
  /** Rooms that it really imports, in the table's order. */
  readonly imports: readonly string[]
  readonly circle: number
}

/** Every room in the table's order, as it is now. */
export function rooms(): Room[] {
  const source = sourceFiles(['src'], ['.ts'])
  const circles = largestCircles(source)
  return LAYERS.map(({ room }) => {
    const files = source.filter(file => layerOf(file.path)?.room === room)
    const targets = new Set(files.flatMap(importsOf).map(target => layerOf(target)?.room))
    return {
      name: room,
      files,
      lines: files.reduce((sum, file) => sum + file.text.split('\n').length - 1, 0),
      imports: LAYERS.map(layer => layer.room).filter(name => name !== room && targets.has(name)),
      circle: circles.get(room) ?? 1,
    }
  })
}

/** The rooms and what they may import, as a Markdown table. What they do import changes too often for a page. */
export function roomTable(): string {
  const rows = LAYERS.map(
    ({ room, mayImport }) => `| \`${room}\` | ${mayImport.map(each => `\`${each}\``).join(', ')} |`,
  )
  return ['| room | may import |', '| --- | --- |', ...rows].join('\n')
}

function print(): void {
  for (const { name, files, lines, imports, circle } of rooms()) {
    const circleText = circle > 1 ? `  circle of ${circle}` : ''
    process.stdout.write(
      `${name.padEnd(18)} ${String(files.length).padStart(3)} files ${String(lines).padStart(6)} lines${circleText}\n`,
    )
    for (const each of imports) process.stdout.write(`${' '.repeat(18)} └─▶ ${each}\n`)
  }
}

if (import.meta.main) {
  if (process.argv.includes('--markdown')) process.stdout.write(`${roomTable()}\n`)
  else print()
}
