/**
 * Which requests nutcracker accepts, for pools with `strict: true`: any other closes the
 * connection. Data plane; pure functions.
 */

import { CR, MINUS, NINE, ZERO } from '../../bytes/ascii.ts'
import { Form } from './commands.ts'
import { type MemcacheRequestParser, Suppress } from './request-parser.ts'

/** @param parser has just found the complete request in buf. */
export function acceptedByNutcracker(parser: MemcacheRequestParser, buf: Uint8Array): boolean {
  const { command, start, tokenCount, lineBytes } = parser
  if (!command.nutcracker) return false
  // A CR only before the line feed. After a bare line feed nutcracker waits without end, which no
  // application relies on.
  const carriageReturn = buf.indexOf(CR, start)
  if (carriageReturn >= 0 && carriageReturn < start + lineBytes - 2) return false
  const words = parser.suppress === Suppress.all ? tokenCount - 1 : tokenCount
  switch (command.form) {
    case Form.keys:
      return true
    case Form.store:
    case Form.storeCas:
      return words === command.min + 1 && isNumber(parser, buf, 3, false)
    case Form.key:
      return words === command.min + 1 && (command.min === 1 || isNumber(parser, buf, 2, true))
    default:
      return tokenCount === 1
  }
}

/** Token is digits, after one minus where `signed`. */
function isNumber(parser: MemcacheRequestParser, buf: Uint8Array, token: number, signed: boolean): boolean {
  let p = parser.start + parser.tokens[token * 2]
  const end = parser.start + parser.tokens[token * 2 + 1]
  if (signed && buf[p] === MINUS) p++
  if (p === end) return false
  while (p < end && buf[p] >= ZERO && buf[p] <= NINE) p++
  return p === end
}
