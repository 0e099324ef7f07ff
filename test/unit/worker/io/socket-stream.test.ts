/** The same over `net.Socket`, for a Node whose internals have changed. */

import { vi } from 'vitest'
import { socketCases } from '../../../support/worker/socket-cases.ts'

vi.hoisted(() => {
  process.env.PISTACHIO_SOCKETS = 'stream'
})

socketCases('stream')
