/** Applications of memcached over real servers. */

import { MEMCACHE_APPLICATIONS } from './memcache-applications.ts'
import { declareTrials } from './trials.ts'

declareTrials('memcache', MEMCACHE_APPLICATIONS)
