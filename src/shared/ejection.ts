/**
 * What becomes of a server that was ejected: the one definition for the thread that builds the routing tables and for
 * the workers that use them.
 *
 *     eject_keep_ring: false     it leaves the ring: its keys go to other servers
 *     eject_keep_ring: true      it stays in the ring, and requests for its keys fail at once
 */

import { Health, HealthState } from './memory-layout.ts'

/** @param health the server's record in shared memory. @returns true when the server is out of use. */
export function isEjected(health: Int32Array): boolean {
  return Atomics.load(health, Health.state) === HealthState.ejected
}

/**
 * @param keepsRing `eject_keep_ring` of the pool.
 * @returns true when keys may be assigned to the server.
 */
export function isInRing(keepsRing: boolean, health: Int32Array): boolean {
  return keepsRing || !isEjected(health)
}

/**
 * @param keepsRing `eject_keep_ring` of the pool.
 * @returns true when the ring names the server, but requests for it fail at once.
 */
export function isDown(keepsRing: boolean, health: Int32Array): boolean {
  return keepsRing && isEjected(health)
}
