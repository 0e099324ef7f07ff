/**
 * nutcracker's log levels, and the level of each severity. Used by `log.ts` on every thread and by
 * the command line for its limits. nutcracker's "error" lines have level 1, so that they are still
 * seen at `-v 1`; the proxy writes no line at levels 0, 2 and 3, and levels 8 to 11 show the same
 * lines as 7.
 */

export const LOG_LEVEL_MIN = 0
export const LOG_LEVEL_MAX = 11
export const LOG_LEVEL_DEFAULT = 5

/**
 * A line is written when its level is at most the current one. `banner` lines are written at every
 * level.
 */
export const LogLevel = { banner: 0, alert: 1, error: 1, warn: 4, notice: 5, info: 6, debug: 7 } as const
export type Severity = keyof typeof LogLevel
