/** Texts of the failures that reach clients, most of them glibc's: `-ERR <text>`, `SERVER_ERROR <text>`. Data plane. */

/** What became of a server connection. `closed`: the server ended it, for which nutcracker has no other word than `unknown`. */
export const Failure = {
  closed: 0,
  refused: 1,
  timedOut: 2,
  reset: 3,
  invalid: 4,
  hostDown: 5,
  noFile: 6,
  noRoute: 7,
  netUnreachable: 8,
  brokenPipe: 9,
  accessDenied: 10,
  tooManyFiles: 11,
  noAddress: 12,
  other: 13,
  noMemory: 14,
  noDatabase: 15,
  selectRefused: 16,
  manyDatabases: 17,
} as const
export type FailureCode = (typeof Failure)[keyof typeof Failure]

export const FAILURE_TEXTS: readonly string[] = [
  'Server closed the connection',
  'Connection refused',
  'Connection timed out',
  'Connection reset by peer',
  'Invalid argument',
  'Host is down',
  'No such file or directory',
  'No route to host',
  'Network is unreachable',
  'Broken pipe',
  'Permission denied',
  'Too many open files',
  'Cannot assign requested address',
  'Input/output error',
  'Cannot allocate memory',
  // Redis's own words: the server has fewer databases than the pool.
  'DB index is out of range',
  'the server refuses SELECT',
  'too many databases are in use at this server',
]

/** The request was never sent, though nothing is wrong with the server: an error reply says all, whatever `server_loss` is. */
export function isRefusal(failure: FailureCode): boolean {
  return failure >= Failure.noDatabase
}

/** libuv's codes are negative errno values on Linux (errno.h). */
const BY_ERRNO: ReadonlyMap<number, FailureCode> = new Map([
  [-111, Failure.refused],
  [-110, Failure.timedOut],
  [-104, Failure.reset],
  [-22, Failure.invalid],
  [-112, Failure.hostDown],
  [-2, Failure.noFile],
  [-113, Failure.noRoute],
  [-101, Failure.netUnreachable],
  [-32, Failure.brokenPipe],
  [-13, Failure.accessDenied],
  [-24, Failure.tooManyFiles],
  [-99, Failure.noAddress],
  [-12, Failure.noMemory],
])

/** @param errno negative libuv code. */
export function failureOf(errno: number): FailureCode {
  return BY_ERRNO.get(errno) ?? Failure.other
}
