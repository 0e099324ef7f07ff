/**
 * The hash functions by their names in the configuration. Used when a pool's router is made, on any
 * thread; not per request.
 */

import type { HashName } from '../shared/config.ts'
import { crc16 } from './crc16.ts'
import { crc32, crc32a } from './crc32.ts'
import { crc32c } from './crc32c.ts'
import { fnv1a32, fnv1a64, fnv132, fnv164 } from './fnv.ts'
import type { HashFunction } from './hash-function.ts'
import { hsieh } from './hsieh.ts'
import { jenkins } from './jenkins.ts'
import { md5 } from './md5.ts'
import { murmur } from './murmur.ts'
import { oneAtATime } from './one-at-a-time.ts'

export const HASH_FUNCTIONS: Readonly<Record<HashName, HashFunction>> = {
  one_at_a_time: oneAtATime,
  md5,
  crc16,
  crc32,
  crc32a,
  fnv1_64: fnv164,
  fnv1a_64: fnv1a64,
  fnv1_32: fnv132,
  fnv1a_32: fnv1a32,
  hsieh,
  murmur,
  jenkins,
  crc32c,
}
