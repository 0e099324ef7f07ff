/** Servers of the fault suite: they can be killed, started again on the same port, and stopped and continued by signals. */

import { Child, scratchFolder } from '../support/processes/child.ts'
import { freePort } from '../support/processes/ports.ts'
import { waitUntil } from '../support/wait.ts'
import { encode } from '../support/wire/resp.ts'
import { Wire } from '../support/wire/wire.ts'

export type Kind = 'redis' | 'memcache'

export class FaultyServer {
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

  /** @param args more arguments for the program. */
  static async start(kind: Kind, name: string, args: readonly string[] = []): Promise<FaultyServer> {
    const server = new FaultyServer(kind, name, await freePort(), args)
    await server.start()
    return server
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  async start(): Promise<void> {
    const folder = scratchFolder()
    this.#child = this.kind === 'redis' ? this.#redis(folder) : this.#memcached(folder)
    await this.#child.listening({ port: this.port })
    const [ask, answer] = this.kind === 'redis' ? [encode('PING'), '+PONG'] : [Buffer.from('version\r\n'), 'VERSION']
    await waitUntil(async () => {
      const wire = await Wire.open({ port: this.port })
      wire.send(ask)
      const reply = await wire.until(text => text.startsWith(answer), answer, 1_000).catch(() => null)
      wire.destroy()
      return reply !== null
    }, `${this.name} to answer`)
  }

  /** Ends it at once; all that it held is lost. */
  async kill(): Promise<void> {
    await this.#child?.stop('SIGKILL')
    this.#child = null
  }

  /** It stands still, with its connections open, until `go`. */
  freeze(): void {
    this.#child?.signal('SIGSTOP')
  }

  go(): void {
    this.#child?.signal('SIGCONT')
  }

  #redis(folder: string): Child {
    const args = ['--port', `${this.port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
    return new Child('redis-server', [...args, '--loglevel', 'warning', ...this.#args], { folder })
  }

  #memcached(folder: string): Child {
    const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
    const args = ['-l', '127.0.0.1', '-p', `${this.port}`, '-U', '0', '-t', '1', '-m', '256', '-I', '8m']
    return new Child('memcached', [...args, ...user, ...this.#args], { folder })
  }
}
