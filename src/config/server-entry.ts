/**
 * Reads one entry of `servers:`. Called by `validate.ts` on the primary thread. Host names are not
 * resolved.
 */

import type { ServerConfig } from '../shared/config.ts'
import { BadValue } from './errors.ts'
import { parseNumber, parsePort } from './number.ts'

/**
 * memcached's port. The default name of a server on this port is its host alone, as in
 * libmemcached's ketama.
 */
const KETAMA_PORT = 11211

const FORMAT = 'has an invalid "hostname:port:weight [name]"or "/path/unix_socket:weight [name]" format string'
const FORMAT_REMEDY =
  'write host:port:weight or /path/of.sock:weight, for instance 127.0.0.1:6379:1, then, if wanted, one space and a name'

/**
 * Reads the entry from its right end: the name after the last space, the weight after the last
 * colon, the port after the colon before that; so a host may contain colons (IPv6). Field count,
 * weight and port are checked in this order.
 * @param value Latin-1 text, one char a byte, not empty.
 * @throws BadValue
 */
export function parseServer(value: string): ServerConfig {
  const isUnix = value.startsWith('/')
  const space = value.lastIndexOf(' ')
  const ownName = space === -1 ? null : value.slice(space + 1)
  const address = space === -1 ? value : value.slice(0, space)
  const weightColon = address.lastIndexOf(':')
  const portColon = weightColon < 1 ? -1 : address.lastIndexOf(':', weightColon - 1)
  if (weightColon === -1 || isUnix !== (portColon === -1)) throw new BadValue(FORMAT, FORMAT_REMEDY)

  const weight = parseWeight(address.slice(weightColon + 1))
  const host = address.slice(0, isUnix ? weightColon : portColon)
  const port = isUnix ? 0 : parsePort(address.slice(portColon + 1, weightColon))
  if (!isUnix && port === 0) {
    throw new BadValue(
      'has an invalid port in "hostname:port:weight [name]" format string',
      'give a port from 1 to 65535',
    )
  }
  return {
    name: ownName ?? defaultName(address, weightColon, host, port, isUnix),
    // With an empty name (a quoted entry that ends in a space) nutcracker keeps the whole text.
    pname: ownName === '' ? value : address,
    host: isUnix ? '' : host,
    port,
    path: isUnix ? host : '',
    weight,
  }
}

function parseWeight(text: string): number {
  const weight = parseNumber(text)
  if (weight > 0) return weight
  const problem = weight === 0 ? 'has a zero weight' : 'has an invalid weight'
  const remedy = 'give a weight of 1 or more in digits, then, if wanted, exactly one space and a name without spaces'
  throw new BadValue(`${problem} in "hostname:port:weight [name]" format string`, remedy)
}

/** `host`, `host:port` as written, or the path with the colon that follows it. */
function defaultName(address: string, weightColon: number, host: string, port: number, isUnix: boolean): string {
  if (isUnix) return address.slice(0, weightColon + 1)
  return port === KETAMA_PORT ? host : address.slice(0, weightColon)
}
