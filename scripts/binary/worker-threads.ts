/**
 * Stands for `node:worker_threads` on the primary thread of the one-file executable: a thread's program is an asset of the executable and not
 * a file. Everything else is Node's own module.
 */

import { getAsset } from 'node:sea'
import { Worker as NodeWorker, type WorkerOptions } from 'node:worker_threads'

// biome-ignore lint/performance/noBarrelFile: it stands for the whole module.
export { isMainThread, MessageChannel, receiveMessageOnPort } from 'node:worker_threads'

/** Which asset is the program of the file that a thread is started with; `package-binary.mjs` says where the files seem to lie. */
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
