/**
 * Replaces `node:worker_threads` on the primary thread of the one-file executable, because a thread's program is an asset of the executable
 * and not a file. All other exports are Node's.
 */

import { getAsset } from 'node:sea'
import { Worker as NodeWorker, type WorkerOptions } from 'node:worker_threads'

// biome-ignore lint/performance/noBarrelFile: it replaces the whole module.
export { isMainThread, MessageChannel, receiveMessageOnPort } from 'node:worker_threads'

/** File of a thread → asset with its program; `package-binary.mjs` defines the paths. */
const ASSETS: Readonly<Record<string, string>> = {
  'file:///worker/index.js': 'worker',
  '/piscina/worker.js': 'table-thread',
}

export class Worker extends NodeWorker {
  constructor(file: string | URL, options: WorkerOptions) {
    const asset = ASSETS[`${file}`]
    if (asset === undefined) throw new Error(`The executable has no asset for the thread ${file}`)
    super(getAsset(asset, 'utf8'), { ...options, eval: true })
  }
}
