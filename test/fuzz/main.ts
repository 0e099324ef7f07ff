/**
 * The fuzz: mutated streams of clients and servers, PROXY headers and configuration files against the worker's own code, on one thread,
 * without a kernel and without waiting. `npm run fuzz -- [COUNT [SEED]]`; what else it takes: `usage` below.
 */

import { installTransport } from './fake-transport.ts'

// Before anything of the worker is loaded.
installTransport()
const { fuzzMain } = await import('./run.ts')
process.exitCode = await fuzzMain(process.argv.slice(2))
