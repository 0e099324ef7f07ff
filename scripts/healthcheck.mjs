/**
 * The container's health check: reads the statistics of the proxy on this machine, as any monitoring tool would, and exits 0 when they come
 * whole within the timeout. STATS_PORT must be what `-s` says, when it says anything. Plain JavaScript, no packages.
 */

import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

const TIMEOUT_MS = 2_000

const socket = connect(Number(process.env.STATS_PORT ?? 22222), '127.0.0.1')
socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`No statistics within ${TIMEOUT_MS} ms`)))
try {
  const { service, uptime } = JSON.parse(await text(socket))
  console.log(`${service} is up for ${uptime} s`)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
