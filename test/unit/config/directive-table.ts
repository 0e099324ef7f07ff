/**
 * The tables of directives in the README, written from `directives.ts`; `readme-tables.test.ts` holds the README to
 * them. `node test/unit/config/directive-table.ts` prints them, to be pasted.
 */

import { type Directive, isSetting } from '../../../src/config/directive.ts'
import { DIRECTIVES } from '../../../src/config/directives.ts'

/** Markdown table of nutcracker's directives, or of pistachio's own. Ends without a line break. */
export function directiveTable(own: boolean): string {
  const rows = DIRECTIVES.filter(directive => directive.own === own).map(row)
  return ['| key | accepts | unit | default | meaning |', '| --- | --- | --- | --- | --- |', ...rows].join('\n')
}

function row(directive: Directive): string {
  const unit = directive.type === 'number' ? directive.unit : ''
  return `| \`${directive.key}\` | ${accepts(directive)} | ${unit} | ${defaultText(directive)} | ${directive.help} |`
}

function accepts(directive: Directive): string {
  switch (directive.type) {
    case 'number':
      return `${directive.default < directive.min ? `${directive.default}, ` : ''}${directive.min} to ${directive.max}`
    case 'bool':
      return '`true`, `false`'
    case 'name':
      return directive.names.map(name => `\`${name}\``).join(', ')
    case 'hash-tag':
      return 'two characters'
    case 'text':
      return 'text'
    case 'listen':
      return 'address'
    case 'servers':
      return 'list of servers'
  }
}

function defaultText(directive: Directive): string {
  if (!isSetting(directive)) return 'required'
  return directive.default === '' || directive.default === null ? 'none' : `\`${directive.default}\``
}

if (import.meta.main) process.stdout.write(`${directiveTable(false)}\n\n${directiveTable(true)}\n`)
