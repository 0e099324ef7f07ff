/** Client libraries of memcached among the project's own packages. */

import { MEMCACHE_SHORT } from './memcache-applications.ts'
import { declareTrials } from './trials.ts'

declareTrials('memcache', MEMCACHE_SHORT)
