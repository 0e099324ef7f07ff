/**
 * Key → server index. One `Router` per pool and worker, on the data plane; built over the pool's half tables in shared memory.
 * `refresh()` is called once a turn of the loop; `route()` once a key.
 */
export interface Router {
  /** Follows the pool's epoch. Cheap when nothing changed (one Atomics.load). */
  refresh(): void
  /** Server index of the key `[start, end) into bytes` (hash tag applied), or -1 when no server is live. */
  route(bytes: Uint8Array, start: number, end: number): number
}
