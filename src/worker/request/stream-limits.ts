/** From which size on requests and replies pass through in pieces, and how long that may rest. Data plane. */

/** A request or reply of this size or more passes through in pieces, bytes. Below it the pieces cost more than the copy. */
export const STREAM_BYTES = 262_144

/** A client that sends nothing of a body that it began is closed after this long, ms: its connection to the server is wanted. */
export const UPLOAD_STALL_MS = 30_000
