/**
 * Explains what is wrong with a file that is not YAML, and where the mistake is, to the author of
 * the file: the yaml package writes of "implicit keys" and "compact mappings", and points at the
 * line before the mistake. Called by `parse.ts` on the primary thread.
 *
 * No value of the file is shown, because it could be a password that lacks quotes.
 */

export interface Explanation {
  /** Index into the text. */
  readonly offset: number
  /** What is wrong; the remedy. */
  readonly message: string
}

const KEY_VALUE = 'write "key: value", with a colon and a space after it'
const INDENT = 'give all keys of a pool the same indentation, in spaces'
const ITEMS = 'give all "- " of a list the same indentation, in spaces'

/** Explanations of the package's messages, by how they begin. The first match counts. */
const EXPLANATIONS: readonly (readonly [beginning: RegExp, explain: (text: string, offset: number) => Explanation])[] =
  [
    [/^Implicit (?:map )?keys need/, missingColon],
    [/^Nested mappings are not allowed/, valueAndMore],
    [/^(?:All mapping items|Block collections are)/, otherIndent],
    [/^(?:A block sequence may not|All sequence items|Sequence item without)/, otherItem],
    [/^Unexpected block-seq-ind/, otherItem],
    [
      /^Tabs are not allowed/,
      (_, offset) => ({ offset, message: 'a tab may not be used for indentation; use spaces' }),
    ],
    [/^Plain value cannot start/, beginsWith],
    [/^Flow (?:map|sequence)/, unclosedBracket],
    [/^Unexpected (?:flow-|comma|,)/, beginsWith],
    [/^(?:Block scalar header|Not a YAML token)/, blockText],
    [
      /^Unexpected \S+ at node end/,
      (_, offset) => ({ offset, message: 'text after the end of a value; put the whole value in quotes' }),
    ],
    [
      /^Missing closing/,
      (_, offset) => ({ offset, message: 'a closing quote is missing; put the whole value in quotes' }),
    ],
    [
      /^Invalid escape/,
      (_, offset) => ({ offset, message: 'no escape of YAML; write \\\\ for a backslash, or use single quotes' }),
    ],
    [
      /^The : indicator must be/,
      (_, offset) => ({ offset, message: 'a key of more than 1,024 characters; shorten it' }),
    ],
  ]

/**
 * @param problem the package's message.
 * @param offset index into the text where the package found the mistake.
 */
export function explainYaml(problem: string, text: string, offset: number): Explanation {
  const known = EXPLANATIONS.find(([beginning]) => beginning.test(problem))
  if (known !== undefined) return known[1](text, Math.min(offset, text.length))
  return { offset, message: `neither a "key: value" line nor a "- item" line; ${KEY_VALUE}, and quote other text` }
}

function missingColon(text: string, offset: number): Explanation {
  const { content, start } = lineAt(text, offset)
  if (/^-[^ -]/.test(content))
    return { offset: start, message: 'a space is missing after "-"; write "- host:port:weight"' }
  if (/^[a-z_]+:[^ ]/.test(content))
    return { offset: start, message: `a space is missing after the colon; ${KEY_VALUE}` }
  const key = /^([a-z_]+)(?: |$)/.exec(content)?.[1]
  const what = key === undefined ? 'a line without a colon' : `a colon is missing after "${key}"`
  return { offset: start, message: `${what}; ${KEY_VALUE}` }
}

/**
 * A value that continues: with a second `key:` on its line, or on the next line, which is indented
 * further.
 */
function valueAndMore(text: string, offset: number): Explanation {
  const { rest } = lineAt(text, offset)
  const below = nextLine(text, offset)
  if (/:(?: |$)/.test(rest) || below === null) {
    return { offset, message: 'a value with ": " in it; quote it, or give the second key a line of its own' }
  }
  return {
    offset: below.start,
    message: `this line is indented further than the one above, which has its value already; ${INDENT}`,
  }
}

function otherIndent(text: string, offset: number): Explanation {
  const { content, start } = lineAt(text, offset)
  if (/^-[^ ]/.test(content))
    return { offset: start, message: 'a space is missing after "-"; write "- host:port:weight"' }
  if (/^- /.test(content)) return otherItem(text, offset)
  if (/^\S*:\d/.test(content)) return { offset: start, message: 'a list item without "- "; write "- host:port:weight"' }
  return { offset: start, message: `this line is not indented like the others of its pool; ${INDENT}` }
}

function otherItem(text: string, offset: number): Explanation {
  const { content, start } = lineAt(text, offset)
  if (!content.startsWith('-'))
    return { offset: start, message: 'a list item without "- "; write "- host:port:weight"' }
  return { offset: start, message: `this item is not indented like the others of its list; ${ITEMS}` }
}

function beginsWith(text: string, offset: number): Explanation {
  const character = String.fromCodePoint(text.codePointAt(offset) ?? 0x20)
  return { offset, message: `a value may not begin with ${JSON.stringify(character)} in YAML; put it in quotes` }
}

function unclosedBracket(text: string, offset: number): Explanation {
  const opened = Math.max(text.lastIndexOf('{', offset - 1), text.lastIndexOf('[', offset - 1))
  const at = opened === -1 ? offset : opened
  return {
    offset: at,
    message: `"${text[at]}" begins a list or a mapping in YAML; put the value in quotes, as in "{}"`,
  }
}

function blockText(text: string, offset: number): Explanation {
  const { content } = lineAt(text, offset)
  const character = /: +([|>])/.exec(content)?.[1] ?? '|'
  return { offset, message: `"${character}" begins a block of text in YAML; put the value in quotes` }
}

interface Line {
  /** Index of the line's first character that is not a space. */
  readonly start: number
  /** Text from there to the line's end. */
  readonly content: string
  /** Text from the given offset to the line's end. */
  readonly rest: string
}

function lineAt(text: string, offset: number): Line {
  const begin = text.lastIndexOf('\n', offset - 1) + 1
  const newline = text.indexOf('\n', offset)
  const end = newline === -1 ? text.length : newline
  const line = text.slice(begin, end)
  const start = begin + (line.length - line.trimStart().length)
  return { start, content: text.slice(start, end), rest: text.slice(Math.min(offset, end), end) }
}

/** The next line below that is neither empty nor a comment. */
function nextLine(text: string, offset: number): Line | null {
  for (let at = text.indexOf('\n', offset); at !== -1; at = text.indexOf('\n', at + 1)) {
    const line = lineAt(text, at + 1)
    if (line.content !== '' && !line.content.startsWith('#')) return line
  }
  return null
}
