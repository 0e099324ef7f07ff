/**
 * What becomes of a server that was ejected: the one definition for the thread that builds the routing tables and for
 * the workers that use them.
 *
 *     eject_keep_ring: false     it leaves the ring: its keys go to other servers
 *     eject_keep_ring: true      it stays in the ring, and requests for its keys fail at once
 */

import type { PoolConfig } from './config.ts'
import { Health, HealthState } from './memory-layout.ts'

type EjectionConfig = Pick<PoolConfig, 'ejectKeepRing'>

/** @param health the server's record in shared memory. @returns true when the server is out of use. */
export function isEjected(health: Int32Array): boolean {
  return Atomics.load(health, Health.state) === HealthState.ejected
}

/** @returns true when keys may be assigned to the server. */
export function isInRing(config: EjectionConfig, health: Int32Array): boolean {
  return config.ejectKeepRing || !isEjected(health)
}

/** @returns true when the ring names the server, but requests for it fail at once. */
export function isDown(config: EjectionConfig, health: Int32Array): boolean {
  return config.ejectKeepRing && isEjected(health)
}
