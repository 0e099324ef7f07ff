/** How a server connection connects: name resolution, the system call, and failures that come in a later turn. Data plane. */

import { lookup } from 'node:dns'
import { isIP } from 'node:net'
import type { LimitedLog } from '../../log/limited-log.ts'
import type { PoolConfig, ServerConfig } from '../../shared/config.ts'
import type { Socket, SocketOwner } from '../io/socket.ts'
import { FAILURE_TEXTS, Failure, type FailureCode, failureOf } from '../request/failure.ts'
import type { WorkerScope } from '../request/worker-scope.ts'

/** The server connection (`ServerConnection`). */
export interface ConnectingConnection extends SocketOwner {
  readonly server: {
    readonly config: ServerConfig
    readonly pool: { readonly config: PoolConfig; readonly context: WorkerScope; readonly limitedLog: LimitedLog }
  }
  readonly socket: Socket
  readonly isClosed: boolean
  onConnected(status: number): void
  fail(failure: FailureCode): void
  close(failure: FailureCode): void
}

/** Begins to connect. `onConnected` or `fail` is called later, in a turn of its own. */
export function connect(connection: ConnectingConnection): void {
  const { config } = connection.server
  if (config.path !== '') connectTo(connection, config.path, 0)
  else if (isIP(config.host) !== 0) connectTo(connection, config.host, config.port)
  else resolve(connection)
}

function resolve(connection: ConnectingConnection): void {
  const { config, pool } = connection.server
  lookup(config.host, (error, address) => {
    if (connection.isClosed) return
    pool.context.turn.begin()
    if (error === null) {
      connectTo(connection, address, config.port)
      return
    }
    pool.limitedLog.alert(
      'address resolution failed',
      () => `address resolution of node '${config.host}' service '${config.port}' failed: ${error.message}`,
    )
    connection.fail(Failure.hostDown)
  })
}

function connectTo(connection: ConnectingConnection, address: string, port: number): void {
  const status = connection.socket.connect(address, port, connection, result => connection.onConnected(result))
  if (status === 0) return
  // Not before the caller has queued its request.
  setImmediate(() => {
    if (connection.isClosed) return
    connection.server.pool.context.turn.begin()
    connection.fail(failureOf(status))
  })
}

/** In place of `connect`: the connection closes, and the requests that are queued on it in this turn fail together. */
export function refuseToConnect(connection: ConnectingConnection, failure: FailureCode): void {
  const { config, pool } = connection.server
  pool.limitedLog.notice(
    'connection refused',
    () => `server '${config.pname}' of pool '${pool.config.name}': ${FAILURE_TEXTS[failure]}`,
  )
  setImmediate(() => {
    pool.context.turn.begin()
    connection.close(failure)
  })
}
