/**
 * Recognises an HTTP GET in the first bytes of a reader of the stats port, and builds the response.
 * Primary thread; for `answer-port.ts`. Other methods, HTTP/0.9 and persistent connections are not
 * supported.
 */

/** Longest request line; a longer one is no GET. */
const LONGEST_LINE_CHARS = 8_192

const METHOD = 'GET '
const REQUEST_LINE = /^GET \S+ HTTP\/1\.\d$/

/**
 * What a reader has sent: the request line of a GET, something else, or not enough of it to know.
 */
export type Sent = 'get' | 'other' | 'undecided'

/** @param received all that has arrived, one char a byte. */
export function classify(received: string): Sent {
  if (!METHOD.startsWith(received.slice(0, METHOD.length))) return 'other'
  const newline = received.indexOf('\n')
  if (newline === -1) return received.length < LONGEST_LINE_CHARS ? 'undecided' : 'other'
  return REQUEST_LINE.test(received.slice(0, newline).replace(/\r$/, '')) ? 'get' : 'other'
}

/** @param document one char a byte. @returns the response that ends with it, one char a byte. */
export function httpResponse(document: string): string {
  const head = [
    'HTTP/1.1 200 OK',
    'Content-Type: application/json',
    `Content-Length: ${document.length}`,
    'Cache-Control: no-store',
    'Connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${document}`
}
