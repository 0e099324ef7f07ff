/**
 * nutcracker's log line: `[2026-11-22 14:41:39.476] listener: text`. The component stands where
 * nutcracker has `file.c:line`, so that a script that cuts off the first fields still finds the
 * message. Pure functions, called by `sink.ts` on every thread.
 */

/**
 * Longest message in UTF-16 units; the rest is cut, so that a peer cannot fill the log with one
 * line.
 * @testOnly
 */
export const MESSAGE_LIMIT = 4000

/**
 * Stands for the time in lines about signals: nutcracker's signal handler cannot read the clock.
 */
const SIGNAL_STAMP = '[.......................]'

/**
 * Control characters of ASCII and C1, and the two line separators of Unicode: what could forge a
 * line or control a terminal.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

export function cutMessage(message: string): string {
  return message.length > MESSAGE_LIMIT ? `${message.slice(0, MESSAGE_LIMIT)}...` : message
}

/**
 * Makes any text safe for one line of a log: `\n`, `\r`, `\t`, `\x1b`, `\u2028`. Text without such
 * characters is returned unchanged.
 * @testOnly
 */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, escapeCharacter)
}

/** One line with its LF, in local time. @param message cut and escaped here. */
export function formatLine(time: Date, component: string, message: string): string {
  return `[${formatTime(time)}] ${component}: ${escapeText(cutMessage(message))}\n`
}

export function formatSignalLine(message: string): string {
  return `${SIGNAL_STAMP} ${escapeText(message)}\n`
}

/** `YYYY-MM-DD HH:MM:SS.mmm`, local time. */
function formatTime(time: Date): string {
  const date = `${time.getFullYear()}-${pad(time.getMonth() + 1, 2)}-${pad(time.getDate(), 2)}`
  const clock = `${pad(time.getHours(), 2)}:${pad(time.getMinutes(), 2)}:${pad(time.getSeconds(), 2)}`
  return `${date} ${clock}.${pad(time.getMilliseconds(), 3)}`
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0')
}

function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0)
  if (code === 0x0a) return '\\n'
  if (code === 0x0d) return '\\r'
  if (code === 0x09) return '\\t'
  return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, '0')}`
}
