/**
 * Replies that the proxy itself writes to memcached clients, encoded once. Data plane. Texts:
 * memcached's own (1.6.18), or nutcracker's.
 */

import { encodeText } from '../../bytes/ascii.ts'

/** Why a request was refused: index into `REFUSALS`. */
export const RequestError = {
  none: 0,
  /** No such command, or a wrong number of arguments. */
  unknown: 1,
  badLine: 2,
  badData: 3,
  badExptime: 4,
  badBinaryKey: 5,
  duplicateFlag: 6,
  tooManyFlags: 7,
  lineTooLong: 8,
  /**
   * The length of the data block is not known. What follows may be data, and must not be read as
   * commands.
   */
  badLength: 9,
  missingLength: 10,
  binaryProtocol: 11,
  tls: 12,
  keyTooLong: 13,
  /** Known to memcached, and not served: `Command.refusal` is the reply. */
  notServed: 14,
  http: 15,
} as const
export type RequestErrorCode = (typeof RequestError)[keyof typeof RequestError]

export interface Refusal {
  readonly reply: Uint8Array
  /** Where the next request begins is not known: the connection closes after the reply. */
  readonly closes: boolean
  /** For the log where `closes`; '' elsewhere. */
  readonly reason: string
}

const ERROR_TEXT = 'ERROR\r\n'
const BAD_LINE_TEXT = 'CLIENT_ERROR bad command line format\r\n'

function answer(text: string): Refusal {
  return { reply: encodeText(text), closes: false, reason: '' }
}

function closing(text: string, reason: string): Refusal {
  return { reply: encodeText(text), closes: true, reason }
}

/** By `RequestError`. */
export const REFUSALS: readonly Refusal[] = [
  answer(''),
  answer(ERROR_TEXT),
  answer(BAD_LINE_TEXT),
  answer('CLIENT_ERROR bad data chunk\r\n'),
  answer('CLIENT_ERROR invalid exptime argument\r\n'),
  answer('CLIENT_ERROR error decoding key\r\n'),
  answer('CLIENT_ERROR duplicate flag\r\n'),
  answer('CLIENT_ERROR options flags too long\r\n'),
  closing('CLIENT_ERROR line too long\r\n', 'command line too long'),
  closing(BAD_LINE_TEXT, 'data block of unknown length'),
  closing(ERROR_TEXT, 'data block of unknown length'),
  closing('', 'it speaks the binary protocol, which this pool does not (use the ASCII protocol)'),
  closing('', 'it speaks TLS, which this listener does not'),
  answer(BAD_LINE_TEXT),
  answer(ERROR_TEXT),
  closing('', 'possible attack: it speaks HTTP'),
]

export const NOOP: Uint8Array = encodeText('MN\r\n')
export const END: Uint8Array = encodeText('END\r\n')
export const OK: Uint8Array = encodeText('OK\r\n')
/** memcached's answer to more connections than it takes. */
export const MAX_CLIENTS: Uint8Array = encodeText('ERROR Too many open connections\r\n')
export const TOO_LARGE: Uint8Array = encodeText('SERVER_ERROR object too large for cache\r\n')

/** `SERVER_ERROR <text>\r\n`. */
export function serverError(text: string): Uint8Array {
  return encodeText(`SERVER_ERROR ${text}\r\n`)
}
