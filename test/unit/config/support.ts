import { type ConfigResult, parseConfig } from '../../../src/config/load.ts'
import type { Config, PoolConfig } from '../../../src/shared/config.ts'

const HOSTS: Readonly<Record<string, string>> = {
  localhost: '127.0.0.1',
  '*': '::1',
  '0': '0.0.0.0',
  '127.1': '127.0.0.1',
}

/** Knows addresses and a few names; never asks the network. */
export async function resolveForTests(host: string): Promise<string> {
  const address = HOSTS[host] ?? (/^[\d.]{7,}$|^[\da-f:]*:[\da-f:]*$/.test(host) ? host : undefined)
  if (address === undefined) throw Object.assign(new Error(`no such host: ${host}`), { code: 'ENOTFOUND' })
  return address
}

/** Checks a text under the name `F`. */
export function parseText(text: string): Promise<ConfigResult> {
  return parseConfig(Buffer.from(text), 'F', { resolve: resolveForTests })
}

/** @throws the reason, when the text is not valid. */
export async function configOf(text: string): Promise<Config> {
  const result = await parseText(text)
  if (!result.ok) throw new Error(result.reason)
  return result.config
}

/** One pool, `p`, with a listener, a server and these further lines. */
export function poolText(...lines: readonly string[]): string {
  const body = ['listen: 127.0.0.1:22121', ...lines, 'servers:', '  - 127.0.0.1:6379:1']
  return `p:\n${body.map(line => `  ${line}\n`).join('')}`
}

/** The pool of `poolText`. @throws the reason, when it is not valid. */
export async function poolOf(...lines: readonly string[]): Promise<PoolConfig> {
  return (await configOf(poolText(...lines))).pools[0]!
}

/** @returns what is wrong with a text: nutcracker's lines and our reason. @throws when nothing is. */
export async function problemOf(text: string): Promise<{ lines: readonly string[]; reason: string }> {
  const result = await parseText(text)
  if (result.ok) throw new Error(`valid, but should not be: ${text}`)
  return { lines: result.lines, reason: result.reason }
}
