/**
 * The refusal of a request whose keys several servers have. Data plane. It names two of the keys
 * and the pool's hash tag, so that who reads it can see what to change; it is counted, and the log
 * has a line a minute with the count.
 */

import { encodeText } from '../../../bytes/ascii.ts'
import { latin1 } from '../../../bytes/text.ts'
import type { PoolConfig } from '../../../shared/config.ts'
import { PoolStat } from '../../../shared/stat-fields.ts'
import type { Client } from '../../client/client.ts'
import { answerLocally } from '../../request/delivery.ts'
import type { Pool } from '../../server/pool.ts'

/** From one line in the log to the next, ms. */
const LOG_INTERVAL_MS = 60_000
/** Characters of a key that are shown. */
const SHOWN_CHARS = 64

/** What was refused since the last line in the log, for each pool that refused something. */
interface Refusals {
  count: number
  /** `Turn.nowMs` scale. */
  loggedMs: number
}

const refusals: WeakMap<Pool, Refusals> = new WeakMap()

/**
 * Answers the current request with -CROSSSLOT.
 * @param what the command, or what else has the keys, for the log.
 * @param first, second two keys of different servers, as `shownKey` gives them.
 */
export function refuseCrossServer(client: Client, what: string, first: string, second: string): void {
  const { pool } = client
  pool.row[pool.statBase + PoolStat.crossServerRefused]++
  const keys = `'${first}' and '${second}'`
  const tag = hashTagOf(pool.config)
  answerLocally(client, encodeText(`-CROSSSLOT Keys in request don't hash to the same server: ${keys}, ${tag}\r\n`))
  log(client, `keys of several servers in ${what}: ${keys}, ${tag}`)
}

/**
 * A key as a refusal shows it: no bytes that would end or forge a line, and not all of a long one.
 */
export function shownKey(buf: Uint8Array, start: number, end: number): string {
  const shown = latin1(buf, start, Math.min(end, start + SHOWN_CHARS)).replace(/[^ -~]/g, '?')
  return end - start > SHOWN_CHARS ? `${shown}...` : shown
}

function hashTagOf({ hashTag }: PoolConfig): string {
  return hashTag === null ? 'the pool has no hash_tag' : `hash_tag is ${String.fromCharCode(...hashTag)}`
}

function log(client: Client, what: string): void {
  const { pool } = client
  const { nowMs } = pool.context.turn
  let known = refusals.get(pool)
  if (known === undefined) {
    known = { count: 0, loggedMs: -LOG_INTERVAL_MS }
    refusals.set(pool, known)
  }
  known.count++
  if (nowMs - known.loggedMs < LOG_INTERVAL_MS) return
  const { count } = known
  known.count = 0
  known.loggedMs = nowMs
  const times = count === 1 ? '' : ` (${count} such requests since the last such line)`
  pool.limitedLog.notice(
    'keys of several servers',
    () => `c ${client.address} of pool '${pool.config.name}' refused: ${what}${times}`,
  )
}
