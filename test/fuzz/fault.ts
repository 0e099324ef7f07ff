/** What the fuzz finds. The class of a fault stays the same while its case is made smaller. */

export const FAULTS = [
  'crash',
  'hang',
  'crossed',
  'wrong reply',
  'dropped',
  'doubled',
  'order',
  'part of a reply',
  'bad request',
  'leak',
  'config',
  'header',
] as const
export type FaultClass = (typeof FAULTS)[number]

export class Fault extends Error {
  readonly class: FaultClass

  constructor(faultClass: FaultClass, message: string) {
    super(message)
    this.class = faultClass
  }
}

/** What a case ended with: a fault as it is, anything else thrown as a crash. */
export function faultOf(error: unknown): Fault {
  if (error instanceof Fault) return error
  const fault = new Fault('crash', error instanceof Error ? (error.stack ?? error.message) : String(error))
  return fault
}
