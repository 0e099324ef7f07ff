/**
 * CLIENT within MULTI: the proxy runs it when EXEC comes. Where other workers must be asked, EXEC
 * waits for their answers. Data plane, for rare requests.
 */

import { errorLine, unknownSubcommand, wrongArguments } from '../../../protocol/redis/replies.ts'
import type { Client } from '../../client/client.ts'
import { ownArity, ownClientReply } from '../clients/client-own.ts'
import { runWide, wideArity } from '../clients/client-wide.ts'
import type { VersionOwner } from '../servers/server-version.ts'

const NO_ANSWER = errorLine('the command was not run')

/** One CLIENT request of a transaction. */
export class QueuedClientCommand {
  readonly #owner: VersionOwner
  readonly #client: Client
  readonly #args: readonly string[]
  readonly #isWide: boolean
  #reply: Uint8Array | null = null
  #asked = false

  /** @param args with CLIENT itself; the subcommand is one that `arityOf` knows. */
  constructor(owner: VersionOwner, client: Client, args: readonly string[]) {
    this.#owner = owner
    this.#client = client
    this.#args = args
    this.#isWide = wideArity(args[1].toUpperCase()) !== undefined
  }

  /**
   * True when the reply depends on the version of the servers, which must then be known before
   * EXEC.
   */
  get needsVersion(): boolean {
    return this.#isWide
  }

  /**
   * Asks the other workers, where the command needs them.
   * @returns false while an answer is outstanding.
   */
  prepare(): boolean {
    if (!this.#isWide || this.#reply !== null) return true
    if (!this.#asked) {
      this.#asked = true
      runWide(this.#owner, this.#client, this.#args, reply => {
        this.#reply = reply
        if (!this.#client.closed) this.#client.pool.context.resumeLater(this.#client)
      })
    }
    return this.#reply !== null
  }

  /** @returns the reply, when EXEC is answered. */
  run(): Uint8Array {
    return this.#isWide ? (this.#reply ?? NO_ANSWER) : ownClientReply(this.#client, this.#args)
  }
}

/**
 * @returns why a CLIENT request cannot be queued; null = it can.
 * @param notPossible the refusal of what only a connection of its own can do.
 */
export function whyNotQueued(args: readonly string[], notPossible: Uint8Array): Uint8Array | null {
  const name = args[1].toUpperCase()
  const arity = ownArity(name) ?? wideArity(name)
  if (arity !== undefined) {
    const fits = arity >= 0 ? args.length === arity : args.length >= -arity
    return fits ? null : wrongArguments(`CLIENT|${name}`)
  }
  return name === 'REPLY' || name === 'HELP' ? notPossible : unknownSubcommand('CLIENT', args[1])
}
