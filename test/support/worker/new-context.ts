/** The context of one worker on the test's own thread. */

import type { Logger } from '../../../src/log/log.ts'
import type { FromWorker } from '../../../src/shared/messages.ts'
import { Context } from '../../../src/worker/context.ts'

/**
 * @param memoryLimitBytes 0 = no limit.
 * @param post gets the worker's messages to the primary.
 */
export function newContext(log: Logger, memoryLimitBytes = 0, post: (message: FromWorker) => void = () => {}): Context {
  return new Context({ workerIndex: 0, workers: 1, mbufBytes: 16_384, memoryLimitBytes, log, post })
}
