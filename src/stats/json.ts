/**
 * nutcracker's stats document: one line, fixed order, fixed spacing. Called by the stats port on
 * the primary thread, once a connection; the values come from `reader.ts`. What nutcracker does not
 * count (`own` fields) stays out, because tools take every object for a pool.
 */

import { POOL_FIELDS, PROCESS_FIELDS, SERVER_FIELDS, type StatField } from '../shared/stat-fields.ts'
import type { StatsSnapshot } from './reader.ts'

/** What nutcracker calls itself; tools check it. */
const SERVICE_NAME = 'nutcracker'
const SERVICE_VERSION = '0.5.0'

export interface StatsIdentity {
  /** Host name at start. */
  readonly source: string
  /** Whole seconds since the start. */
  readonly uptimeSec: number
  /** Unix time, whole seconds. */
  readonly timestampSec: number
}

/**
 * The document with its final LF. Latin-1 text, one char a byte: names go out as the bytes that the
 * file has.
 */
export function renderStats(snapshot: StatsSnapshot, identity: StatsIdentity): string {
  const members = [
    `"service":"${SERVICE_NAME}"`,
    `"source":"${identity.source}"`,
    `"version":"${SERVICE_VERSION}"`,
    `"uptime":${identity.uptimeSec}`,
    `"timestamp":${identity.timestampSec}`,
    ...scalars(PROCESS_FIELDS, snapshot.process),
  ]
  const pools = snapshot.pools.map(pool => {
    const servers = pool.servers.map(server => object(server.name, scalars(SERVER_FIELDS, server.values), []))
    return object(pool.name, scalars(POOL_FIELDS, pool.values), servers)
  })
  return `{${body(members, pools)}}\n`
}

function object(name: string, members: readonly string[], children: readonly string[]): string {
  return `"${name}": {${body(members, children)}}`
}

/** A comma and a space after a scalar, a comma alone after an object. */
function body(members: readonly string[], children: readonly string[]): string {
  const head = members.join(', ')
  return children.length === 0 ? head : `${head}, ${children.join(',')}`
}

function scalars(fields: readonly StatField[], values: Float64Array): string[] {
  const members: string[] = []
  for (const [index, field] of fields.entries()) {
    if (!field.own) members.push(`"${field.name}":${values[index]}`)
  }
  return members
}
