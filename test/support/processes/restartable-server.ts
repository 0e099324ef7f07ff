/**
 * A redis-server or memcached that can be killed, started again on its port, and stopped and
 * continued by signals.
 */

import { waitUntil } from '../wait.ts'
import { encode } from '../wire/resp.ts'
import { Wire } from '../wire/wire.ts'
import { Child, scratchFolder } from './child.ts'
import { freePort } from './ports.ts'

export type Kind = 'redis' | 'memcache'

export class RestartableServer {
  readonly kind: Kind
  readonly name: string
  readonly port: number
  readonly #args: readonly string[]
  #child: Child | null = null

  private constructor(kind: Kind, name: string, port: number, args: readonly string[]) {
    this.kind = kind
    this.name = name
    this.port = port
    this.#args = args
  }

  /** @param args more arguments for the program, also after a restart. */
  static async start(kind: Kind = 'redis', name = '', args: readonly string[] = []): Promise<RestartableServer> {
    const server = new RestartableServer(kind, name, await freePort(), args)
    await server.start()
    return server
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  /**
   * Resolves when it answers; it may still be loading, or want a password.
   * @param args more arguments, for this time.
   */
  async start(...args: string[]): Promise<void> {
    const folder = scratchFolder()
    const all = [...this.#args, ...args]
    this.#child = this.kind === 'redis' ? this.#redis(folder, all) : this.#memcached(folder, all)
    await this.#child.listening({ port: this.port })
    await this.#answers()
  }

  /** Ends it at once; all its data is lost. */
  async kill(): Promise<void> {
    await this.#child?.stop('SIGKILL')
    this.#child = null
  }

  /** Stops the process, with its connections open, until `go`. */
  freeze(): void {
    this.#child?.signal('SIGSTOP')
  }

  go(): void {
    this.#child?.signal('SIGCONT')
  }

  /** Waits until a section of Redis's INFO says `field:value`. */
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

  async #answers(): Promise<void> {
    const ask = this.kind === 'redis' ? encode('PING') : Buffer.from('version\r\n')
    const answer = this.kind === 'redis' ? /^(\+PONG|-LOADING|-NOAUTH)/ : /^VERSION/
    await waitUntil(async () => {
      const wire = await Wire.open({ port: this.port })
      wire.send(ask)
      const reply = await wire.until(text => answer.test(text), `${answer}`, 1_000).catch(() => null)
      wire.destroy()
      return reply !== null
    }, `${this.name} to answer`)
  }

  #redis(folder: string, more: readonly string[]): Child {
    const args = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
    const rest = ['--enable-debug-command', 'yes', '--loglevel', 'warning', ...more]
    return new Child('redis-server', [...args, ...rest], { folder })
  }

  #memcached(folder: string, more: readonly string[]): Child {
    const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
    const args = ['-l', '127.0.0.1', '-p', `${this.port}`, '-U', '0', '-t', '1', '-m', '256', '-I', '8m']
    return new Child('memcached', [...args, ...user, ...more], { folder })
  }
}
