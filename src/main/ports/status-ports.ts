/**
 * The two ports on the stats address, opened and closed together: the stats port, and the
 * agent-check port with `--agent-check-port`. Primary thread; for `primary.ts`.
 */

import { resolveBySystem } from '../../config/listen.ts'
import type { Logger } from '../../log/log.ts'
import type { Config } from '../../shared/config.ts'
import type { StatsSnapshot } from '../../stats/reader.ts'
import { AgentCheck, type AgentState } from './agent-check.ts'
import { StatsServer } from './stats-server.ts'

export interface StatusPortsOptions {
  /** Host, or a path that begins with `/` for a unix socket. */
  readonly address: string
  readonly statsPort: number
  /** HAProxy's agent check; 0 = none. */
  readonly agentCheckPort: number
  /** The agent check reports a weight by load. */
  readonly agentCheckWeight: boolean
  readonly snapshot: () => StatsSnapshot
  readonly agentState: () => AgentState
  readonly log: Logger
}

export class StatusPorts {
  readonly #options: StatusPortsOptions
  #stats: StatsServer | null = null
  #agent: AgentCheck | null = null

  constructor(options: StatusPortsOptions) {
    this.#options = options
  }

  /** Binds the stats port. Rejects with the line for the log. */
  async reserve(config: Config): Promise<void> {
    const { address, statsPort: port, snapshot, log } = this.#options
    this.#stats = await StatsServer.reserve({
      address,
      port,
      shared: sharesPorts(config),
      snapshot,
      log: log.child('stats'),
    })
  }

  /** Opens both ports, the stats port last. Rejects with the line for the log. */
  async open(config: Config): Promise<void> {
    const { address, agentCheckPort: port, agentCheckWeight: weighted, agentState: state, log } = this.#options
    if (port !== 0) {
      if (address.startsWith('/')) throw new Error(`the agent-check port needs a host as stats address, not a path`)
      const numeric = await resolveBySystem(address)
      this.#agent = await AgentCheck.open({ address: numeric, port, weighted, shared: sharesPorts(config), state, log })
    }
    await this.#stats!.listen()
  }

  /** Addresses of the open ports, for the log. */
  describe(): { readonly stats: string; readonly agentCheck: string } {
    const { address, statsPort, agentCheckPort } = this.#options
    const stats = address.startsWith('/') ? address : `${address}:${statsPort}`
    return { stats, agentCheck: agentCheckPort === 0 ? '' : `${address}:${agentCheckPort}` }
  }

  /** Follows a reload: shares the ports with other processes or not, as this configuration says. */
  async useConfig(config: Config): Promise<void> {
    await this.#stats?.share(sharesPorts(config))
    await this.#agent?.share(sharesPorts(config))
  }

  /** Makes the agent check answer `drain`, or closes its port when a successor has it too. */
  async drain(): Promise<void> {
    await this.#agent?.drain()
  }

  close(): void {
    this.#stats?.close()
    this.#agent?.close()
  }
}

/**
 * Whether a second process may have the ports too. It may when pools have `reuseport`: then one
 * process replaces another while both run. Else two processes on one port are a mistake, and
 * readers would get an answer from either.
 */
function sharesPorts({ pools }: Config): boolean {
  return pools.some(pool => pool.reuseport)
}
