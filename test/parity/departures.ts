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
  /** What the probe gets on a connection that is in another state afterwards. */
  readonly probeReply?: string
}

/** What a pool answers in place of the original; with `strict: true` the original, unless `strict` says otherwise. */
export interface Departure extends Outcome {
  readonly strict?: Outcome
  /** A request to send afterwards, so that later exchanges find what they would have found behind nutcracker. */
  readonly undo?: string
}

function open(reply: string | RegExp): Departure {
  return { reply, closed: false }
}

function close(reply: string | RegExp): Departure {
  return { reply, closed: true }
}

/** The same in a strict pool: what the original does, no deployment can rely on. */
function always(outcome: Outcome): Departure {
  return { ...outcome, strict: outcome }
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
  'auth 0': wrongArguments('auth'),
  'get noarg': wrongArguments('get'),
  'get 2arg': wrongArguments('get'),
  'append 1': wrongArguments('append'),
  'mset odd': wrongArguments('mset'),
  'mset none': wrongArguments('mset'),
  'eval none': wrongArguments('eval'),
  // The server knows more forms of a command than nutcracker, and answers itself.
  'expire 2': { ...open(':1\r\n'), undo: '*2\r\n$7\r\nPERSIST\r\n$1\r\na\r\n' },
  eval0: open(':1\r\n'),
  'eval nan': open(/^-ERR [^\r\n]+\r\n$/),
  'eval neg': open(/^-ERR [^\r\n]+\r\n$/),

  // An unknown command likewise.
  unknown: unknown('FOO', 'x'),
  'good+bad': open("$1\r\nb\r\n-ERR unknown command 'FOO', with args beginning with: \r\n"),
  'ping+bad': open("+PONG\r\n-ERR unknown command 'FOO', with args beginning with: \r\n"),

  // Commands that nutcracker does not know.
  'ping arg': open('$1\r\nx\r\n'),
  'quit arg': close('+OK\r\n'),
  'command docs': { reply: null, closed: false },
  'command count': open(/^:[2-9]\d\d\r\n$/),
  'auth 2': open(/^-WRONGPASS [^\r\n]+\r\n$/),
  hello: open(/^%7\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n/),
  keys: { reply: null, closed: false },
  info: open(/^\$\d+\r\n# Server\r\nredis_version:.+\r\n# Servers\r\nserver0:name=a,.+\r\n\r\n$/s),
  multi: { ...open('+OK\r\n'), probeReply: '+QUEUED\r\n' },
  subscribe: { ...open('*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n'), probeReply: '*2\r\n$4\r\npong\r\n$0\r\n\r\n' },
  blpop: open('*-1\r\n'),
  echo: open('$1\r\nx\r\n'),
  scan: open(/^\*2\r\n\$1\r\n0\r\n\*\d+\r\n/),
  spublish: open(':0\r\n'),
  msetnx: open(':0\r\n'),
  eval_ro: open(':1\r\n'),
  rename: { ...open('+OK\r\n'), undo: '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n' },
  xadd: open(/^\$\d+\r\n\d+-0\r\n$/),
  object: open('$6\r\nembstr\r\n'),

  // Commands that nutcracker refuses or leaves without an answer.
  quit: close('+OK\r\n'),
  'ping+quit+ping': close('+PONG\r\n+OK\r\n'),
  'get+quit': close('$-1\r\n+OK\r\n'),
  'get+quit+get': close('$-1\r\n+OK\r\n'),
  select: open('+OK\r\n'),
  move: always(open(':0\r\n')),
  'inline ping': open('+PONG\r\n'),
  'inline get': open('$-1\r\n'),
  crlf: open(''),

  // Malformed frames: the reason, then close. Redis itself passes over empty requests.
  'narg 0': always(open('')),
  'narg -1': always(open('')),
  'narg empty': close(PROTOCOL_ERROR),
  'narg no CR': close(PROTOCOL_ERROR),
  'len mismatch short': close(PROTOCOL_ERROR),
  'neg len': close(PROTOCOL_ERROR),
  'empty len arg': close(PROTOCOL_ERROR),
  'zero len cmd': open(/^-ERR [^\r\n]+\r\n$/),
  'trailing not LF': close(PROTOCOL_ERROR),
  'key 16336': open(/^-ERR [^\r\n]+\r\n$/),
  // nutcracker forwards these, and redis closes the shared connection: every other client's requests on it fail.
  'empty len key': { ...close(PROTOCOL_ERROR), strict: close('') },
  'leading zeros': { ...close(PROTOCOL_ERROR), strict: close('') },
}

/** By what the server wrote: the text of a server that is down for the moment reaches the client; it counts as a failure as before. */
export const REDIS_SERVER_REPLY_DEPARTURES: Readonly<Record<string, Departure>> = {
  '-LOADING Redis is loading\r\n': open('-LOADING Redis is loading\r\n'),
  '-OOM command not allowed\r\n': open('-OOM command not allowed\r\n'),
  '-BUSY Redis is busy\r\n': open('-BUSY Redis is busy\r\n'),
  '-OOM\r\n': open('-OOM\r\n'),
}

const ERROR = open('ERROR\r\n')
const BAD_LINE = 'CLIENT_ERROR bad command line format\r\n'
/** memcached ignores a word that stands where `noreply` may stand. */
const STORED = open('STORED\r\n')

export const MEMCACHE_DEPARTURES: Readonly<Record<string, Departure>> = {
  // Refused in memcached's words, and the stream is still in step.
  'get nokey': ERROR,
  'get nokey sp': ERROR,
  'GET upper': ERROR,
  'cas nocas': ERROR,
  'incr noarg': ERROR,
  'delete nokey': ERROR,
  'touch noexp': ERROR,
  // What concerns a single server is refused in words.
  shutdown: open(/^SERVER_ERROR [^\r\n]+\r\n$/),
  slabs: open(/^SERVER_ERROR [^\r\n]+\r\n$/),
  // A binary client is told, in its protocol, why the connection ends.
  binary: close(/^\x81[\s\S]{23}This proxy does not speak the binary protocol/),
  'empty line': ERROR,
  unknown: ERROR,
  'digits cmd': ERROR,
  key251: open(BAD_LINE),
  'set neg flags': open(BAD_LINE),
  'set long data': open('CLIENT_ERROR bad data chunk\r\nERROR\r\n'),
  'incr nan': open('CLIENT_ERROR invalid numeric delta argument\r\n'),
  // Where the data block ends is not known: it must not be taken for commands.
  'set neg len': close(BAD_LINE),
  'set nolen': close('ERROR\r\n'),
  // What memcached accepts.
  'set noreplyX': STORED,
  'set nore': STORED,
  'set junk': STORED,
  'set neg exp': STORED,
  'delete 0': open('DELETED\r\n'),
  gat: open('END\r\n'),
  gats: open('END\r\n'),
  'version arg': open(/^VERSION [^\r\n]+\r\n$/),
  verbosity: open('OK\r\n'),
  stats: open(/^(STAT \S+ [^\r\n]*\r\n)+END\r\n$/),
  flush_all: open('OK\r\n'),
  mg: open('EN\r\n'),
  mn: open('MN\r\n'),
  // What was set before the flush is gone.
  'get+quit': close('END\r\n'),
  // nutcracker waits for ever for the CR of a line that ended, and closes on one whose LF has not come yet.
  'get LF only': always(open('VALUE a 0 3\r\nabc\r\nEND\r\n')),
  'cr only': always(open('')),
}

/** By request and server's reply: a failed multi-get tells the server's reason, and the client is not closed. */
export const MEMCACHE_SERVER_REPLY_DEPARTURES: Readonly<Record<string, Departure>> = {
  '["get a b\\r\\n","SERVER_ERROR x\\r\\n"]': open('SERVER_ERROR x\r\n'),
  '["get a b\\r\\n","ERROR\\r\\n"]': ERROR,
  '["get a b\\r\\n","STORED\\r\\n"]': open('SERVER_ERROR Invalid argument\r\n'),
  // A value that was not asked for belongs to another request, if to any.
  '["get a b\\r\\n","VALUE zz 0 1\\r\\nx\\r\\nEND\\r\\n"]': {
    ...open('SERVER_ERROR Invalid argument\r\n'),
    strict: close('SERVER_ERROR Invalid argument\r\n'),
  },
}

/** What pistachio must answer where nutcracker answered `original`. */
export function expectedOutcome(original: Outcome, departure: Departure | undefined, strict: boolean): Outcome {
  if (departure === undefined) return original
  return strict ? (departure.strict ?? original) : departure
}
