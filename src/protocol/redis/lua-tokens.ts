/**
 * Cuts the text of a Lua 5.1 script into tokens, as far as a look at its calls needs them. Data plane, once for each new script. What is
 * not Lua gives some tokens too: the server says what is wrong with it.
 */

export const TokenKind = { name: 0, string: 1, number: 2, mark: 3 } as const

export interface Token {
  /** One of `TokenKind`. */
  readonly kind: number
  /** A name or mark as written; a string's content, escapes left as they are. */
  readonly text: string
}

/** The long brackets' levels are matched by their backreferences. No alternative overlaps itself, so the time is linear in the text. */
const TOKEN = new RegExp(
  [
    // Comments, long and short.
    /--\[(=*)\[[\s\S]*?(?:\]\1\]|$)/,
    /--[^\n]*/,
    // Strings: long, and quoted.
    /\[(=*)\[([\s\S]*?)(?:\]\2\]|$)/,
    /"((?:\\[\s\S]|[^"\\\n])*)"/,
    /'((?:\\[\s\S]|[^'\\\n])*)'/,
    /([A-Za-z_]\w*)/,
    /(0[xX][\da-fA-F]+|\d+(?:\.(?!\.)\d*)?(?:[eE][+-]?\d+)?)/,
    // Marks of several characters, and any other character.
    /(\.\.\.?|[=~<>]=|[^\s])/,
  ]
    .map(part => part.source)
    .join('|'),
  'g',
)

/** @param text one char a byte; a first line that begins with `#!` is skipped. */
export function luaTokens(text: string): Token[] {
  const tokens: Token[] = []
  for (const match of text.replace(/^#![^\n]*/, '').matchAll(TOKEN)) {
    const [, , , long, double, single, name, number, mark] = match
    const content = long ?? double ?? single
    if (content !== undefined) tokens.push({ kind: TokenKind.string, text: content })
    else if (name !== undefined) tokens.push({ kind: TokenKind.name, text: name })
    else if (number !== undefined) tokens.push({ kind: TokenKind.number, text: number })
    else if (mark !== undefined) tokens.push({ kind: TokenKind.mark, text: mark })
  }
  return tokens
}
