/**
 * Texts that a client gives its connection: its name, its library and the library's version. Data
 * plane; pure.
 */

import { encodeText } from '../../../bytes/ascii.ts'

export const NAME_REFUSED = encodeText('-ERR Client names cannot contain spaces, newlines or special characters.\r\n')

/**
 * @returns true when Redis accepts the text. CLIENT LIST separates words by spaces and clients by
 * lines.
 */
export function isClientText(text: string): boolean {
  return /^[!-~]*$/.test(text)
}
