/** What is known of an application: how it is tried, and the line of `docs/applications.md` that says what came of it. */

import type { PoolKeys, Protocol } from './pools.ts'

/** What makes an application work over several servers. */
export interface Remedy {
  /** As the document says it. */
  readonly text: string
  /** Default: 3. */
  readonly servers?: 1 | 3
  /** Of the pool. */
  readonly keys?: PoolKeys
  /** Of the program. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Application {
  readonly name: string
  /** Versions that were tried. */
  readonly tried: string
  readonly protocol: Protocol
  /** File of `programs/`; its ending says what runs it. It tries the application at the port PORT and exits with 0 when all was right. */
  readonly program: string
  /** Debian packages. Undefined: packages of `npm/package.json`. Empty: the project's own packages. */
  readonly packages?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What it prints as it fails in a pool of one server; default: it works. */
  readonly oneFails?: RegExp
  /** What it prints as it fails in a pool of three servers; default: it works. */
  readonly severalFail?: RegExp
  readonly remedy?: Remedy
  /** Why it fails, or what else is to be known. */
  readonly why?: string
}

export const REFUSED = /CROSSSLOT/

export const SPLIT: Remedy = { text: '`multi: split`', keys: { multi: 'split' } }
export const ONE_SERVER: Remedy = { text: 'a pool of one server', servers: 1 }

export const TABLE_HEAD = [
  '| application | tried | one server | several servers | works with | why |',
  '| --- | --- | --- | --- | --- | --- |',
]

/** The line of the document. */
export function documentLine(application: Application): string {
  const { name, tried, oneFails, severalFail, remedy, why } = application
  const word = (failure: RegExp | undefined): string => (failure === undefined ? 'works' : '**fails**')
  return `| ${[name, tried, word(oneFails), word(severalFail), remedy?.text ?? '', why ?? ''].join(' | ')} |`
}
