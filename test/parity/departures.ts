/**
 * Where pistachio departs from nutcracker on purpose, as data: the name of a measured exchange → what pistachio answers in its place.
 * Everything that is not listed here must be nutcracker's bytes. A pool with `strict: true` keeps nutcracker's answers.
 * The reasons: `docs/compatibility.md`.
 */

export interface Outcome {
  /** Exact bytes (one char a byte), a pattern for the whole reply, or null for any reply. */
  readonly reply: string | RegExp | null
  /** Whether the proxy closes the connection after it. */
  readonly closed: boolean
}

/** What is departed from, and whether `strict: true` brings the original back. */
export interface Departure extends Outcome {
  /** false: the original fails or lies here, and no deployment can rely on it. */
  readonly strictRestores: boolean
}

function open(reply: string | RegExp, strictRestores = true): Departure {
  return { reply, closed: false, strictRestores }
}

function close(reply: string | RegExp, strictRestores = true): Departure {
  return { reply, closed: true, strictRestores }
}

function unknown(name: string, ...args: readonly string[]): Departure {
  const quoted = args.map(arg => `'${arg}' `).join('')
  return open(`-ERR unknown command '${name}', with args beginning with: ${quoted}\r\n`)
}

function wrongArguments(name: string): Departure {
  return open(`-ERR wrong number of arguments for '${name}' command\r\n`)
}

const PROTOCOL_ERROR = /^-ERR Protocol error: [^\r\n]+\r\n$/

export const REDIS_DEPARTURES: Readonly<Record<string, Departure>> = {
  // A wrong number of arguments gets Redis's words, and the connection stays open.
  'ping arg': wrongArguments('ping'),
  'quit arg': wrongArguments('quit'),
  'auth 2': wrongArguments('auth'),
  'auth 0': wrongArguments('auth'),
  'command docs': wrongArguments('command'),
  'command count': wrongArguments('command'),
  'get noarg': wrongArguments('get'),
  'get 2arg': wrongArguments('get'),
  'append 1': wrongArguments('append'),
  'expire 2': wrongArguments('expire'),
  'mset odd': wrongArguments('mset'),
  'mset none': wrongArguments('mset'),
  'eval none': wrongArguments('eval'),
  eval0: open(/^-ERR [^\r\n]+\r\n$/),
  'eval nan': open(/^-ERR [^\r\n]+\r\n$/),
  'eval neg': open(/^-ERR [^\r\n]+\r\n$/),

  // An unknown command likewise.
  hello: unknown('HELLO', '3'),
  unknown: unknown('FOO', 'x'),
  keys: unknown('KEYS', '*'),
  info: unknown('INFO'),
  multi: unknown('MULTI'),
  subscribe: unknown('SUBSCRIBE', 'x'),
  blpop: unknown('BLPOP', 'x', '1'),
  echo: unknown('ECHO', 'x'),
  msetnx: unknown('MSETNX', 'a', 'b'),
  eval_ro: unknown('EVAL_RO', 'return 1', '1', 'a'),
  rename: unknown('RENAME', 'a', 'b'),
  scan: unknown('SCAN', '0'),
  xadd: unknown('XADD', 's', '*', 'a', 'b'),
  spublish: unknown('PUBLISH', 's', 'a'),
  object: unknown('OBJECT', 'ENCODING', 'a'),
  'good+bad': open("$1\r\nb\r\n-ERR unknown command 'FOO', with args beginning with: \r\n"),
  'ping+bad': open("+PONG\r\n-ERR unknown command 'FOO', with args beginning with: \r\n"),

  // Commands that nutcracker refuses or leaves without an answer.
  quit: close('+OK\r\n'),
  'ping+quit+ping': close('+PONG\r\n+OK\r\n'),
  'get+quit': close('$-1\r\n+OK\r\n'),
  'get+quit+get': close('$-1\r\n+OK\r\n'),
  select: open('+OK\r\n'),
  move: open(':0\r\n'),
  'inline ping': open('+PONG\r\n'),
  'inline get': open('$-1\r\n'),
  crlf: open(''),

  // Malformed frames: the reason, then close. Redis itself passes over empty requests.
  'narg 0': open(''),
  'narg -1': open(''),
  'narg empty': close(PROTOCOL_ERROR),
  'narg no CR': close(PROTOCOL_ERROR),
  'len mismatch short': close(PROTOCOL_ERROR),
  'neg len': close(PROTOCOL_ERROR),
  'empty len arg': close(PROTOCOL_ERROR),
  'zero len cmd': open(/^-ERR [^\r\n]+\r\n$/),
  'trailing not LF': close(PROTOCOL_ERROR),
  'key 16336': open(/^-ERR [^\r\n]+\r\n$/),
  // nutcracker forwards these, and redis closes the shared connection: every other client's requests on it fail.
  'empty len key': close(PROTOCOL_ERROR, false),
  'leading zeros': close(PROTOCOL_ERROR, false),
}

const REFUSED = /^(ERROR|CLIENT_ERROR [^\r\n]+)\r\n$/

export const MEMCACHE_DEPARTURES: Readonly<Record<string, Departure>> = {
  // Refused, and the stream is still in step.
  'get nokey': open(REFUSED),
  'get nokey sp': open(REFUSED),
  'GET upper': open(REFUSED),
  'incr nan': open(REFUSED),
  'incr noarg': open(REFUSED),
  'delete nokey': open(REFUSED),
  'touch noexp': open(REFUSED),
  'version arg': open(REFUSED),
  'quit arg': open(REFUSED),
  shutdown: open(REFUSED),
  slabs: open(REFUSED),
  'empty line': open(REFUSED),
  unknown: open(REFUSED),
  'digits cmd': open(REFUSED),
  key251: open(REFUSED),
}
