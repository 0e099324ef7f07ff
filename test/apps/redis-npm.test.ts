/** Applications of Redis from npm over real servers. */

import { REDIS_FROM_NPM } from './redis-applications.ts'
import { declareTrials } from './trials.ts'

declareTrials('redis', REDIS_FROM_NPM)
