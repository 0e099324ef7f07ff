/**
 * What a connection to a server must be like to serve a client: its database and its protocol version, as one small integer, so that the
 * request path compares one number. Data plane.
 *
 *     0 = RESP2 (or memcached), database 0      1 = RESP3, database 0      2 = RESP2, database 1      3 = RESP3, database 1 …
 */

export function connectionKind(database: number, resp3: boolean): number {
  return database * 2 + (resp3 ? 1 : 0)
}

export function databaseOf(kind: number): number {
  return kind >> 1
}

export function speaksResp3(kind: number): boolean {
  return (kind & 1) === 1
}
