/**
 * Reads the value of `listen:`, the only value that needs the resolver. Called by `validate.ts` on
 * the primary thread.
 */

import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import type { ListenAddress } from '../shared/config.ts'
import { strerror } from '../shared/strerror.ts'
import { BadValue, showValue } from './errors.ts'
import { parsePort } from './number.ts'

/**
 * Finds the first address of a host.
 * @throws an error whose `code` is Node's resolver code, such as `ENOTFOUND`.
 */
export type Resolve = (host: string) => Promise<string>

/** Longest path of a unix socket, bytes: Linux's sun_path less its final NUL. */
const UNIX_PATH_BYTES = 107
const PERMISSION_MAX = 0o777
/** Largest result of strtol on a 64-bit machine. */
const LONG_MAX = 2n ** 63n - 1n

const TCP_REMEDY = 'write host:port, for instance 127.0.0.1:22121'
const UNIX_REMEDY = 'write /path/of.sock, or /path/of.sock 0666 with an octal permission up to 0777'

/**
 * The system's resolver (getaddrinfo): hosts file, short forms such as `127.1`, both address
 * families, in the system's order.
 */
export async function resolveBySystem(host: string): Promise<string> {
  if (host === '*') return loopbackAddress()
  // For '' Node resolves to null without asking; nutcracker's getaddrinfo rejects it.
  if (host === '') throw Object.assign(new Error('empty host name'), { code: 'ENOTFOUND' })
  const { address } = await lookup(host, { order: 'verbatim' })
  return address
}

/**
 * What glibc resolves `*` with a port to, which Node cannot: the loopback address, IPv6 where there
 * is one.
 */
function loopbackAddress(): string {
  const all = Object.values(networkInterfaces()).flat()
  return all.some(each => each?.address === '::1') ? '::1' : '127.0.0.1'
}

/** @param value Latin-1 text, one char a byte, not empty. @throws BadValue */
export async function parseListen(value: string, resolve: Resolve): Promise<ListenAddress> {
  return value.startsWith('/') ? parseUnixListen(value) : parseTcpListen(value, resolve)
}

/** `PATH` or `PATH PERMISSION`, split at the last space. */
function parseUnixListen(value: string): ListenAddress {
  const space = value.lastIndexOf(' ')
  const path = space === -1 ? value : value.slice(0, space)
  const permission = space === -1 ? 0 : parsePermission(value.slice(space + 1))
  if (permission === -1) {
    throw new BadValue('has an invalid file permission in "socket_path permission" format string', UNIX_REMEDY)
  }
  if (path.length > UNIX_PATH_BYTES) {
    throw new BadValue(
      'has an invalid value',
      `the path has ${path.length} bytes, and a socket's path at most ${UNIX_PATH_BYTES}`,
    )
  }
  return { text: value, host: '', port: 0, path, permission }
}

/**
 * C's strtol with base 8, then a 32-bit mode_t: leading blanks, a sign, octal digits; anything
 * after them is ignored.
 * @returns -1 when invalid.
 */
function parsePermission(text: string): number {
  const [, sign, digits] = /^[\t-\r ]*([+-]?)([0-7]*)/.exec(text)!
  const value = BigInt(`0o${digits === '' ? '0' : digits}`)
  if (value > LONG_MAX) return -1
  const mode = Number(BigInt.asUintN(32, sign === '-' ? -value : value))
  return mode > PERMISSION_MAX ? -1 : mode
}

/** `HOST:PORT`, split at the last colon. */
async function parseTcpListen(value: string, resolve: Resolve): Promise<ListenAddress> {
  const colon = value.lastIndexOf(':')
  if (colon === -1) throw new BadValue('has an invalid "hostname:port" format string', TCP_REMEDY)
  const port = parsePort(value.slice(colon + 1))
  if (port === 0) {
    throw new BadValue(
      'has an invalid port in "hostname:port" format string',
      'give a port from 1 to 65535 after the last colon',
    )
  }
  const name = showValue(value.slice(0, colon))
  try {
    const host = await resolve(name)
    return { text: value, host, port, path: '', permission: 0 }
  } catch (error) {
    const cause = strerror((error as NodeJS.ErrnoException).code ?? String(error))
    throw new BadValue('has an invalid value', resolveRemedy(name, cause), [
      `address resolution of node '${name}' service '${port}' failed: ${cause}`,
    ])
  }
}

function resolveRemedy(name: string, cause: string): string {
  if (name.startsWith('[')) return 'write an IPv6 address without brackets, for instance ::1:22121'
  if (name === '') return 'write an address before the colon, 0.0.0.0 for all'
  return `the host does not resolve (${cause}); give an address of this machine`
}
