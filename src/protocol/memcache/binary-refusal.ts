/** The proxy's one reply in memcached's binary protocol, which it does not serve. Data plane. */

import { encodeText } from '../../bytes/ascii.ts'

/** Header of a request and of a response, bytes: magic, opcode, lengths, status, opaque, cas. */
const BINARY_HEADER_BYTES = 24

const RESPONSE_MAGIC = 0x81
/** memcached's "unknown command" (protocol_binary.h). */
const UNKNOWN_COMMAND_STATUS = 0x0081
const OPCODE_AT = 1
const STATUS_AT = 6
const BODY_LENGTH_AT = 8
const OPAQUE_AT = 12
const OPAQUE_BYTES = 4
const TEXT = encodeText('This proxy does not speak the binary protocol: use the ASCII protocol')

/**
 * @returns the error response to a request. Bytes [start, end) of buf have arrived of it; opcode
 * and opaque value are repeated if they are among them. Clients send a header in one piece; the
 * proxy does not wait for the rest.
 */
export function binaryRefusal(buf: Uint8Array, start: number, end: number): Uint8Array {
  const reply = Buffer.alloc(BINARY_HEADER_BYTES + TEXT.length)
  reply[0] = RESPONSE_MAGIC
  if (end - start > OPCODE_AT) reply[OPCODE_AT] = buf[start + OPCODE_AT]
  reply.writeUInt16BE(UNKNOWN_COMMAND_STATUS, STATUS_AT)
  reply.writeUInt32BE(TEXT.length, BODY_LENGTH_AT)
  if (end - start >= OPAQUE_AT + OPAQUE_BYTES) {
    reply.set(buf.subarray(start + OPAQUE_AT, start + OPAQUE_AT + OPAQUE_BYTES), OPAQUE_AT)
  }
  reply.set(TEXT, BINARY_HEADER_BYTES)
  return reply
}
