/**
 * CLIENT PAUSE and MONITOR look at every request of a pool before it is handled. Data plane. While
 * neither is active the pool's clients keep their fast path; while one is, `PoolClients.watched`
 * closes the fast path of all of them.
 */

import { PASSED_UNKNOWN } from '../../../protocol/redis/command-info.ts'
import { Action, fitsArity } from '../../../protocol/redis/commands.ts'
import type { RespRequestParser } from '../../../protocol/redis/request-parser.ts'
import type { WorkerAnswer, WorkerQuestion } from '../../../shared/questions.ts'
import type { Client } from '../../client/client.ts'
import type { PoolClients } from '../../client/pool-clients.ts'
import { isRefusedToMonitor } from '../session/session.ts'
import { MonitorFeed, nowUs } from './monitor-feed.ts'
import { isShown, monitorLine, shownArguments } from './monitor-line.ts'
import { Pause } from './pause.ts'

/** Handles a request that the watch has let pass. */
export type StatedRequest = (client: Client, parser: RespRequestParser, buf: Uint8Array) => void

export class RequestWatch {
  readonly pause: Pause
  readonly feed: MonitorFeed
  readonly #clients: PoolClients

  constructor(clients: PoolClients) {
    this.#clients = clients
    const update = (): void => this.#update()
    this.pause = new Pause(update)
    this.feed = new MonitorFeed(clients.pool, update)
  }

  /** Opens or closes the fast path of all clients. */
  #update(): void {
    const watched = this.pause.active || this.feed.active
    if (watched === this.#clients.watched) return
    this.#clients.watched = watched
    for (const client of this.#clients.members) client.updateFastPath()
  }

  /**
   * @returns the request's line for MONITOR, to be added once the request is handled; '' = MONITOR
   * does not show it.
   */
  lineOf(client: Client, parser: RespRequestParser, buf: Uint8Array): string {
    if (!this.feed.active || isRefusedToMonitor(client, parser.command)) return ''
    const args = shownArguments(parser, buf)
    return isShown(parser.command, args) ? monitorLine(nowUs(), client.database, client.address, args) : ''
  }

  /** Carries out a question of another worker, or of a client of this one. */
  answer(question: WorkerQuestion): WorkerAnswer {
    if (question.kind === 'pause') {
      if (question.untilMs > 0) this.pause.begin(question.untilMs, question.writesOnly)
      else this.pause.end()
      this.#update()
    } else if (question.kind === 'watch') {
      this.feed.setWatcher(question.watcher, question.on)
    } else if (question.kind === 'monitor-lines') {
      return this.feed.deliver(question.lines, question.count, question.skipped)
    }
    return 0
  }

  /**
   * Adds a monitoring client. @param done called once every worker sends its requests.
   * @returns what ends it.
   */
  join(client: Client, done: () => void): { end(): void } {
    const { clients } = this.feed
    clients.set(client, 0)
    this.#update()
    if (clients.size > 1 || !this.#tellWatched(true, done)) done()
    return {
      end: (): void => {
        clients.delete(client)
        this.#update()
        if (clients.size === 0) this.#tellWatched(false, () => {})
      },
    }
  }

  #tellWatched(on: boolean, done: () => void): boolean {
    const { pool } = this.#clients
    const { questions, workerIndex } = pool.context
    return questions.ask({ kind: 'watch', pool: pool.config.name, watcher: workerIndex, on }, done)
  }

  /**
   * Tells a worker that has just started about the pause and about this worker's monitoring
   * clients.
   */
  tell(worker: number): void {
    const { pool } = this.#clients
    const { questions, workerIndex } = pool.context
    const { name } = pool.config
    const { untilMs, writesOnly } = this.pause
    const ignore = (): void => {}
    if (untilMs > 0) questions.ask({ kind: 'pause', pool: name, untilMs, writesOnly }, ignore, [worker])
    if (this.feed.clients.size > 0) {
      questions.ask({ kind: 'watch', pool: name, watcher: workerIndex, on: true }, ignore, [worker])
    }
  }
}

/**
 * Handles a request of a watched pool. A pause may delay it. MONITOR shows it, unless it is
 * postponed: then it is parsed again.
 */
export function watchedRequest(
  watch: RequestWatch,
  client: Client,
  parser: RespRequestParser,
  buf: Uint8Array,
  handle: StatedRequest,
): void {
  const { command } = parser
  const known = command.action !== Action.refuse && command !== PASSED_UNKNOWN
  const isKnown = known && fitsArity(command, parser.argCount)
  if (isKnown && watch.pause.delays(client, command)) return
  const maySay = client.authenticated || command.action === Action.auth || command.action === Action.hello
  const line = isKnown && maySay ? watch.lineOf(client, parser, buf) : ''
  handle(client, parser, buf)
  if (line !== '' && !client.isPostponed) watch.feed.add(line)
}
