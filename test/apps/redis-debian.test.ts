/** Applications of Redis from Debian over real servers. */

import { REDIS_FROM_DEBIAN } from './redis-applications.ts'
import { declareTrials } from './trials.ts'

declareTrials('redis', REDIS_FROM_DEBIAN)
