/** Client libraries of Redis among the project's own packages, as they are without options. */

import { REDIS_SHORT } from './redis-applications.ts'
import { declareTrials } from './trials.ts'

declareTrials('redis', REDIS_SHORT)
