/**
 * Inline requests: a line of words, as a person types it in telnet. Data plane, but rare: it makes
 * strings.
 */

import { CR, encodeText, LF } from '../../bytes/ascii.ts'
import { latin1 } from '../../bytes/text.ts'

/**
 * Rewrites the line [start, end) of buf as a RESP request. Words are split as Redis splits them
 * (sdssplitargs): spaces, "…" with backslash escapes, '…'.
 * @returns a request with no arguments for an empty line, or null where quotes are unbalanced.
 */
export function splitInline(buf: Uint8Array, start: number, end: number): Uint8Array | null {
  let lineEnd = end
  while (lineEnd > start && (buf[lineEnd - 1] === LF || buf[lineEnd - 1] === CR)) lineEnd--
  let line = ''
  for (let i = start; i < lineEnd; i++) line += String.fromCharCode(buf[i])
  const words = splitWords(line)
  if (words === null) return null
  let text = `*${words.length}\r\n`
  for (const word of words) text += `$${word.length}\r\n${word}\r\n`
  return encodeText(text)
}

/**
 * Words that Redis itself looks for (`securityWarningCommand`): the line begins with one of them.
 */
const HTTP_WORD = /^(?:POST|HOST:)[\0- ]/i
/**
 * Method, target and version. `SET key HTTP/1.1` is no such line: a target is a path, a URL, `*`,
 * or a host and port to CONNECT to.
 */
const HTTP_LINE = /^(?:[!#-'*+.^-z|~\w-]+ +(?:\/|\*|\w[\w+.-]*:\/\/)\S*|CONNECT +\S+) +HTTP\/\d/

/**
 * Whether the line [start, end) of buf is a web browser's: what would follow as the body of its
 * request must not be executed. Redis looks for two words only, and executes what follows other
 * methods.
 */
export function isHttp(buf: Uint8Array, start: number, end: number): boolean {
  const line = latin1(buf, start, end)
  return HTTP_WORD.test(line) || HTTP_LINE.test(line)
}

function isSpace(char: string): boolean {
  return char === ' ' || char === '\t' || char === '\r' || char === '\v' || char === '\f' || char === '\0'
}

function splitWords(line: string): string[] | null {
  const words: string[] = []
  let at = 0
  for (;;) {
    while (at < line.length && isSpace(line[at])) at++
    if (at >= line.length) return words
    let word = ''
    while (at < line.length && !isSpace(line[at])) {
      const char = line[at]
      if (char !== '"' && char !== "'") {
        word += char
        at++
        continue
      }
      const close = closingQuote(line, at)
      // A closing quote must end the word.
      if (close < 0 || (close + 1 < line.length && !isSpace(line[close + 1]))) return null
      word += unquote(line.slice(at + 1, close), char)
      at = close + 1
    }
    words.push(word)
  }
}

function closingQuote(line: string, open: number): number {
  const quote = line[open]
  for (let i = open + 1; i < line.length; i++) {
    if (line[i] === '\\' && (quote === '"' || line[i + 1] === "'")) i++
    else if (line[i] === quote) return i
  }
  return -1
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

function unquote(text: string, quote: string): string {
  if (quote === "'") return text.replaceAll("\\'", "'")
  return text.replace(/\\(?:x([0-9a-fA-F]{2})|([\s\S]))/g, (_all, hex: string | undefined, char: string | undefined) =>
    hex !== undefined ? String.fromCharCode(Number.parseInt(hex, 16)) : (ESCAPES[char!] ?? char!),
  )
}
