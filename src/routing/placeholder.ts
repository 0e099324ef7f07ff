/** The key by which requests without a key are routed. Data plane; pure. */

import { encodeText } from '../bytes/ascii.ts'

/**
 * nutcracker routes every command that has no key by this one, so both proxies choose the same
 * server.
 */
export const PLACEHOLDER = encodeText('placeholder')
