/** IP addresses as text and as bytes, for `proxy-header.ts`. Data plane; pure functions, once a connection at most. */

const HEX_GROUP = /^[0-9A-Fa-f]{1,4}$/

/** `10.0.0.7`: four decimals without leading zeros. */
export function isIpv4(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 4 && parts.every(part => isDecimal(part, 255))
}

/** A decimal of 0..max without leading zeros. */
export function isDecimal(text: string, max: number): boolean {
  return /^(0|[1-9][0-9]{0,9})$/.test(text) && Number(text) <= max
}

/** An IPv6 address in any of the forms of RFC 4291, an IPv4 address at its end included; no zone. @returns its eight groups, or null. */
export function parseIpv6(text: string): number[] | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const before = groupsOf(halves[0], halves.length === 1)
  const after = halves.length === 2 ? groupsOf(halves[1], true) : []
  if (before === null || after === null) return null
  const missing = 8 - before.length - after.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  return [...before, ...new Array<number>(missing).fill(0), ...after]
}

/** @param last the text ends the address: an IPv4 address may end it. */
function groupsOf(text: string, last: boolean): number[] | null {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (last && index === parts.length - 1 && isIpv4(part)) {
      const [a, b, c, d] = part.split('.').map(Number)
      groups.push(a * 256 + b, c * 256 + d)
    } else if (HEX_GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16))
    } else {
      return null
    }
  }
  return groups
}

/** The four bytes at `at` as text. */
export function formatIpv4(buf: Uint8Array, at: number): string {
  return `${buf[at]}.${buf[at + 1]}.${buf[at + 2]}.${buf[at + 3]}`
}

/** The sixteen bytes at `at` as eight groups. */
export function ipv6Groups(buf: Uint8Array, at: number): number[] {
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(buf[at + i] * 256 + buf[at + i + 1])
  return groups
}

/** Eight groups in the one form of RFC 5952: lower case, the longest run of zeros (two groups at least; the first of equals) as `::`. */
export function formatIpv6(groups: readonly number[]): string {
  if (groups.slice(0, 5).every(group => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${groups[6] >> 8}.${groups[6] & 255}.${groups[7] >> 8}.${groups[7] & 255}`
  }
  let longest = 1
  let from = -1
  for (let start = 0; start < 8; start++) {
    let end = start
    while (end < 8 && groups[end] === 0) end++
    if (end - start > longest) {
      longest = end - start
      from = start
    }
  }
  const hex = (part: readonly number[]): string => part.map(group => group.toString(16)).join(':')
  return from < 0 ? hex(groups) : `${hex(groups.slice(0, from))}::${hex(groups.slice(from + longest))}`
}
