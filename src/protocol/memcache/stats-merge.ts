/**
 * Makes one reply to `stats` of several servers' replies. Data plane, for rare requests: it works
 * on strings.
 *
 * `stats`, `stats items`, `stats slabs` and `stats sizes` are counters, and are summed as if the
 * pool were one server. All others are settings or lists of one server: each name is prefixed with
 * its server's, `STAT <server>:<name> <value>`.
 */

/** A server's reply to `stats`, Latin-1, and the server's name. */
export interface StatsReply {
  readonly server: string
  readonly text: string
}

const SUMMED = new Set(['', 'items', 'slabs', 'sizes'])

/**
 * How values are merged, by the part of the name behind its last colon. Names that are missing here
 * are summed.
 */
const LARGEST = new Set([
  'time',
  'age',
  'age_hot',
  'age_warm',
  'evicted_time',
  'hash_power_level',
  'hash_is_expanding',
  'slab_reassign_running',
  'lru_crawler_running',
])
const SMALLEST = new Set(['uptime', 'accepting_conns'])
const FIRST = new Set(['pid', 'pointer_size', 'chunk_size', 'chunks_per_page'])

/**
 * @param argument what stood behind `stats`, '' = nothing.
 * @returns `STAT` lines and `END`, Latin-1.
 */
export function mergeStats(argument: string, replies: readonly StatsReply[]): string {
  const lines = SUMMED.has(argument) ? summedLines(replies) : namedLines(replies)
  return [...lines, 'END', ''].join('\r\n')
}

function linesOf(reply: StatsReply): string[] {
  return reply.text.split('\r\n').filter(line => line !== '' && line !== 'END')
}

/**
 * Lines that are no statistic (`ITEM`, `PREFIX`) are about keys, and a key is on one server only.
 */
function namedLines(replies: readonly StatsReply[]): string[] {
  return replies.flatMap(reply =>
    linesOf(reply).map(line => (line.startsWith('STAT ') ? `STAT ${reply.server}:${line.slice(5)}` : line)),
  )
}

function summedLines(replies: readonly StatsReply[]): string[] {
  const values = new Map<string, string[]>()
  for (const reply of replies) {
    for (const line of linesOf(reply)) {
      const [, name, value] = /^STAT (\S+) ?(.*)$/.exec(line) ?? []
      if (name === undefined || value === undefined) continue
      const known = values.get(name)
      if (known === undefined) values.set(name, [value])
      else known.push(value)
    }
  }
  return [...values].map(([name, all]) => `STAT ${name} ${mergeValues(name, all)}`)
}

function mergeValues(name: string, values: readonly string[]): string {
  const kind = name.slice(name.lastIndexOf(':') + 1)
  if (FIRST.has(kind)) return values[0]
  if (values.every(value => /^-?\d+$/.test(value))) {
    const numbers = values.map(BigInt).sort((a, b) => (a < b ? -1 : 1))
    if (LARGEST.has(kind)) return String(numbers.at(-1))
    if (SMALLEST.has(kind)) return String(numbers[0])
    return String(numbers.reduce((a, b) => a + b))
  }
  // Seconds of CPU time, with six decimals. A version has two dots and is no number.
  if (values.every(value => /^\d+\.\d{6}$/.test(value))) {
    return values.reduce((sum, value) => sum + Number(value), 0).toFixed(6)
  }
  return [...new Set(values)].join(',')
}
