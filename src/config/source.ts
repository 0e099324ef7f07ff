/**
 * Bytes of a configuration file → text as libyaml reads it: its encodings, its refusals (reader
 * error 2) and its line breaks. First step of `load.ts`; primary thread.
 */

import { ConfigError, LibyamlError, type Position, yamlFailure } from './errors.ts'

const UTF16_LITTLE = [0xff, 0xfe]
const UTF16_BIG = [0xfe, 0xff]
const UTF8_MARK = [0xef, 0xbb, 0xbf]

/** Characters that libyaml rejects (reader.c, yaml_parser_update_buffer). */
const REFUSED = /[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u
/** All of YAML 1.1's line breaks; the yaml package knows only LF and CR LF. */
const LINE_BREAKS = /\r\n|[\r\x85\u2028\u2029]/g
/**
 * libyaml reads a byte order mark at the start of a later line as one blank column. Files that were
 * concatenated contain such marks.
 */
const MARKS_AT_LINE_START = /^\ufeff/gm

/** The text of a file, with `\n` line breaks only, and its lines. */
export class Source {
  readonly text: string
  readonly #lineStarts: number[] = [0]

  constructor(text: string) {
    this.text = text
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#lineStarts.push(at + 1)
  }

  /** @param offset index into `text`. */
  position(offset: number): Position {
    let low = 0
    let high = this.#lineStarts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#lineStarts[middle]! <= offset) low = middle
      else high = middle - 1
    }
    const before = this.text.slice(this.#lineStarts[low]!, offset)
    return { line: low + 1, column: [...before].length + 1 }
  }
}

/**
 * Decodes UTF-8 or, behind its byte order mark, UTF-16.
 * @throws ConfigError for invalid encoding and for control characters.
 */
export function decodeSource(bytes: Uint8Array): Source {
  const text = decode(bytes)
  const refused = REFUSED.exec(text)
  if (refused !== null) {
    const code = refused[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')
    throw unreadable(text, refused.index, `control character U+${code} is not allowed; remove it`)
  }
  return new Source(normalise(text))
}

/**
 * nutcracker's error for a file that opens but cannot be read (a directory, an I/O error).
 * @param cause text of the errno.
 */
export function unreadableFile(cause: string): ConfigError {
  return new ConfigError(
    [yamlFailure(LibyamlError.reader)],
    null,
    `cannot be read: ${cause}; give a regular file with -c`,
  )
}

function decode(bytes: Uint8Array): string {
  if (startsWith(bytes, UTF16_LITTLE)) return decodeAs('utf-16le', bytes.subarray(2))
  if (startsWith(bytes, UTF16_BIG)) return decodeAs('utf-16be', bytes.subarray(2))
  return decodeAs('utf-8', startsWith(bytes, UTF8_MARK) ? bytes.subarray(3) : bytes)
}

function decodeAs(encoding: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    // Decoding failed at the first replacement character, unless the file itself contains one
    // before that.
    const text = new TextDecoder(encoding, { ignoreBOM: true }).decode(bytes)
    const name = encoding.slice(0, 6).toUpperCase()
    throw unreadable(text, text.indexOf('\ufffd'), `bytes that are not valid ${name}; save the file as UTF-8`)
  }
}

function startsWith(bytes: Uint8Array, mark: readonly number[]): boolean {
  return mark.every((byte, index) => bytes[index] === byte)
}

function normalise(text: string): string {
  return text.replace(LINE_BREAKS, '\n').replace(MARKS_AT_LINE_START, ' ')
}

function unreadable(text: string, index: number, reason: string): ConfigError {
  const before = normalise(text.slice(0, index))
  return new ConfigError([yamlFailure(LibyamlError.reader)], new Source(before).position(before.length), reason)
}
