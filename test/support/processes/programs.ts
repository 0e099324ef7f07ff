/**
 * Which programs stand behind and in front of the proxy: those on the PATH, unless the environment
 * names others, as `npm run test:versions` does with servers of other releases.
 */

const VARIABLES = {
  'redis-server': 'REDIS_COMMAND',
  memcached: 'MEMCACHED_COMMAND',
  haproxy: 'HAPROXY_COMMAND',
} as const

/**
 * @returns the command and what comes before the program's own arguments. The variables hold it as
 * a JSON array.
 */
export function commandOf(program: keyof typeof VARIABLES): readonly [command: string, ...args: string[]] {
  const given = process.env[VARIABLES[program]]
  return given === undefined ? [program] : JSON.parse(given)
}
