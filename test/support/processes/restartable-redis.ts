/** A redis-server that can be killed and started again on its port. */

import { waitUntil } from '../wait.ts'
import { encode } from '../wire/resp.ts'
import { Wire } from '../wire/wire.ts'
import { Child, scratchFolder } from './child.ts'
import { freePort } from './ports.ts'

export class RestartableRedis {
  readonly port: number
  #child: Child | null = null

  private constructor(port: number) {
    this.port = port
  }

  static async start(...args: string[]): Promise<RestartableRedis> {
    const server = new RestartableRedis(await freePort())
    await server.start(...args)
    return server
  }

  /** Resolves when it listens. */
  async start(...args: string[]): Promise<void> {
    const folder = scratchFolder()
    const all = ['--port', `${this.port}`, '--save', '', '--dir', folder, '--enable-debug-command', 'yes', ...args]
    this.#child = new Child('redis-server', all, { folder })
    await this.#child.listening({ port: this.port })
  }

  async kill(): Promise<void> {
    await this.#child?.stop('SIGKILL')
    this.#child = null
  }

  /** Waits until a section of INFO says `field:value`. */
  async shows(section: string, field: string, value: number): Promise<void> {
    const wire = await Wire.open({ port: this.port })
    try {
      await waitUntil(async () => {
        wire.send(encode('INFO', section))
        return `${(await wire.redisReplies(1))[0]}`.includes(`${field}:${value}\r\n`)
      }, `${field}:${value} of ${this.port}`)
    } finally {
      wire.destroy()
    }
  }
}
