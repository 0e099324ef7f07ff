/**
 * The rooms of `src`, and which rooms each one may import. A file belongs to the room with the
 * longest path that it lies in. A row names only rooms above it, so the table is free of circles by
 * construction. Type imports count.
 */

import type { SourceFile } from './source-tree.ts'
import { importsOf } from './source-tree.ts'

export interface Layer {
  /** Folder below `src`, with all that lies in it but for deeper rooms. */
  readonly room: string
  readonly mayImport: readonly string[]
  /**
   * Most files of the room that may import one another in a circle. The numbers may only shrink.
   */
  readonly circle: number
}

const layer = (room: string, mayImport: string, circle = 1): Layer => ({
  room,
  mayImport: mayImport.split(' ').filter(name => name !== ''),
  circle,
})

const DATA = 'bytes shared'
const WORKER = `${DATA} protocol net routing log worker/memory worker/io`

export const LAYERS: readonly Layer[] = [
  layer('bytes', ''),
  layer('shared', 'bytes'),
  layer('hashkit', DATA),
  layer('log', DATA),
  layer('protocol', DATA),
  layer('protocol/redis', `${DATA} protocol`),
  layer('protocol/memcache', `${DATA} protocol`),
  layer('net', DATA),
  layer('routing', `${DATA} hashkit`),
  layer('config', DATA),
  layer('stats', DATA),
  layer('worker/memory', DATA),
  layer('worker/io', `${DATA} log net worker/memory`),
  layer('worker/request', WORKER, 3),
  layer('worker/server', `${WORKER} worker/request`, 3),
  layer('worker/client', `${WORKER} worker/request worker/server`, 5),
  layer('worker/redis', `${WORKER} worker/request worker/server worker/client protocol/redis`),
  layer('worker/memcache', `${WORKER} worker/request worker/server worker/client protocol/memcache`),
  layer('worker', `${WORKER} worker/request worker/server worker/client worker/redis worker/memcache`, 2),
  layer('main/command-line', `${DATA} config log`),
  layer('main/process', `${DATA} log`),
  layer('main/generation', `${DATA} routing`),
  layer('main/clients', `${DATA} config log net main/process`),
  layer('main/workers', `${DATA} log net main/clients`),
  layer('main/health', `${DATA} log main/generation`),
  layer('main/ports', `${DATA} config log net stats`),
  layer(
    'main',
    `${DATA} config log net routing stats main/command-line main/process main/generation main/clients main/workers main/health main/ports`,
  ),
]

/** Imports that still point the wrong way, `from → to`. The list may only shrink. */
export const EXCEPTIONS: readonly string[] = []

/** @returns the row of a file, or null where no room has it. */
export function layerOf(path: string): Layer | null {
  const rows = LAYERS.filter(row => path.startsWith(`src/${row.room}/`))
  return rows.reduce<Layer | null>(
    (best, row) => (best === null || row.room.length > best.room.length ? row : best),
    null,
  )
}

/** @returns rows that name a room that does not stand above them. */
export function rowsOutOfOrder(rows: readonly Layer[]): string[] {
  return rows.flatMap((row, index) => {
    const above = rows.slice(0, index).map(each => each.room)
    return row.mayImport.filter(name => !above.includes(name)).map(name => `${row.room} names ${name}`)
  })
}

/**
 * @returns imports of one file that its row does not allow, as `from → to`, and the file where no
 * room has it.
 */
export function importsAgainstLayers(file: SourceFile): string[] {
  const row = layerOf(file.path)
  if (row === null) return [`${file.path} has no room`]
  const targets = [...new Set(importsOf(file))].filter(target => target.startsWith('src/'))
  return targets.flatMap(target => {
    const room = layerOf(target)?.room
    const fits = room !== undefined && (room === row.room || row.mayImport.includes(room))
    return fits ? [] : [`${file.path} → ${target}`]
  })
}

/** @returns the size of the largest circle of imports inside each room. */
export function largestCircles(files: readonly SourceFile[]): Map<string, number> {
  const largest = new Map<string, number>()
  for (const circle of circlesIn(files)) {
    const room = layerOf(circle[0]!)!.room
    largest.set(room, Math.max(largest.get(room) ?? 1, circle.length))
  }
  return largest
}

/** @returns the strongly connected components of two files and more, by imports inside one room. */
export function circlesIn(files: readonly SourceFile[]): string[][] {
  const edges = new Map<string, string[]>()
  for (const file of files) {
    const room = layerOf(file.path)
    edges.set(
      file.path,
      importsOf(file).filter(target => layerOf(target) === room),
    )
  }
  const reach = new Map([...edges.keys()].map(path => [path, reachable(path, edges)]))
  const circles = new Map<string, string[]>()
  for (const [path, reached] of reach) {
    const circle = [
      path,
      ...[...reached].filter(other => other !== path && reach.get(other)?.has(path) === true),
    ].sort()
    if (circle.length > 1) circles.set(circle.join(), circle)
  }
  return [...circles.values()]
}

function reachable(from: string, edges: ReadonlyMap<string, readonly string[]>): Set<string> {
  const reached = new Set<string>()
  const waiting = [from]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const target of edges.get(path) ?? []) {
      if (reached.has(target)) continue
      reached.add(target)
      waiting.push(target)
    }
  }
  return reached
}
