/**
 * The part of a key between the first opening byte and the first closing byte after it
 * (`hash_tag`). Without such a part, or with an empty one, the whole key is hashed; later opening
 * bytes are not tried. Data plane, once a key.
 */

/** @returns index after the first `open` in `[start, end)`, or -1. */
export function tagStart(bytes: Uint8Array, start: number, end: number, open: number): number {
  for (let i = start; i < end; i++) if (bytes[i] === open) return i + 1
  return -1
}

/**
 * @param first what `tagStart` found.
 * @returns end of the tag that begins there, or -1 if it is not closed or empty.
 */
export function tagEnd(bytes: Uint8Array, first: number, end: number, close: number): number {
  for (let i = first; i < end; i++) if (bytes[i] === close) return i > first ? i : -1
  return -1
}
