/**
 * What a connection to a server must be like to serve a client: its database and its protocol version, as one small integer, so that the
 * request path compares one number. Data plane.
 *
 *     0 = RESP2 (or memcached), database 0      1 = RESP3, database 0      2 = RESP2, database 1      3 = RESP3, database 1 …
 *
 * Two bits above these mark connections of their own: for clients that run scripts (`busy-scripts.ts`), and for what ends a script.
 */

const SCRIPTS = 1 << 24
const KILLS = 1 << 25
const DATABASE_BITS: number = SCRIPTS - 1

export function connectionKind(database: number, resp3: boolean): number {
  return database * 2 + (resp3 ? 1 : 0)
}

export function databaseOf(kind: number): number {
  return (kind & DATABASE_BITS) >> 1
}

export function speaksResp3(kind: number): boolean {
  return (kind & 1) === 1
}

/** The same database and protocol version, for clients that run scripts. */
export function forScripts(kind: number): number {
  return kind | SCRIPTS
}

export function isForScripts(kind: number): boolean {
  return (kind & SCRIPTS) !== 0
}

/** Connections on which nothing but SCRIPT KILL and FUNCTION KILL is said. */
export function forKills(resp3: boolean): number {
  return KILLS | (resp3 ? 1 : 0)
}
