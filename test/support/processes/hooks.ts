/**
 * Environments for `startProxy` that load hooks into every thread of the proxy: `CRASH_HOOK`,
 * `HEAP_HOOK`, `LEAK_HOOK`, any of them together.
 */

export function hooks(...environments: readonly NodeJS.ProcessEnv[]): NodeJS.ProcessEnv {
  const options = environments.map(environment => environment.NODE_OPTIONS ?? '').join(' ')
  return Object.assign({}, ...environments, { NODE_OPTIONS: options })
}
