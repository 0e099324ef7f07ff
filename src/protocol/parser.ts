/** What a parser's `parse` returns. Data plane; shared by all parsers. */
export const Parsed = { complete: 0, incomplete: 1, error: 2 } as const
export type ParsedCode = (typeof Parsed)[keyof typeof Parsed]
