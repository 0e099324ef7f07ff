/**
 * Aligned text and Markdown tables, and the way figures are written in them. Called by `report.ts` and `document.ts`.
 */

export interface Column {
  readonly title: string
  readonly align: 'left' | 'right'
}

/** For a terminal: columns as wide as their widest cell, two blanks between them, no blank at the end of a line. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((column, i) => Math.max(column.title.length, ...rows.map(row => row[i]!.length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (columns[i]!.align === 'left' ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [columns.map(column => column.title), ...rows].map(line).join('\n')
}

/** The same for a document. */
export function markdownTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
  const rule = columns.map(column => (column.align === 'left' ? '---' : '---:'))
  return [line(columns.map(column => column.title)), line(rule), ...rows.map(line)].join('\n')
}

/** Three significant digits, thousands apart, `–` for no figure: `141,000`, `5.51`, `0.083`. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Math.abs(value) >= 100) return Math.round(Number(value.toPrecision(3))).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}

/** Always two decimals, so that ratios stand under each other: `3.50`. */
export function ratioText(value: number): string {
  return Number.isFinite(value) ? value.toFixed(2) : '–'
}

/** Bytes as MB with one decimal. */
export function megabytes(bytes: number): string {
  return Number.isFinite(bytes) ? (bytes / (1 << 20)).toFixed(1) : '–'
}
