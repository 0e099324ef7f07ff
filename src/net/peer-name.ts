/** The peer address of a connection, as the log writes it. Any thread. */

/** A handle of Node's, accepted or connected. */
export interface NamedHandle {
  /** @returns 0, or a negative libuv code. */
  getpeername?(out: { address?: string; port?: number }): number
}

/** `10.0.0.7:51234` or `[2001:db8::1]:51234`; '' for a unix socket or a closed connection. */
export function peerName(handle: NamedHandle): string {
  const name: { address?: string; port?: number } = {}
  if (handle.getpeername === undefined || handle.getpeername(name) !== 0) return ''
  const { address = '', port } = name
  if (!address.includes(':')) return `${address}:${port}`
  return address.startsWith('::ffff:') ? `${address.slice(7)}:${port}` : `[${address}]:${port}`
}
