/**
 * The task that fills a table off the event loops: piscina's thread loads this file,
 * `main/generation/table-builder.ts` sends the work. Every message goes by structured clone; the
 * views still point into the shared memory afterwards, so no table is copied.
 */

import type { TableHalf } from '../shared/memory-layout.ts'
import { fillTable, type TableInput } from './ring-table.ts'

export interface TableTask {
  readonly input: TableInput
  /** Views into shared memory; no worker reads this half until the sender has published it. */
  readonly half: TableHalf
}

/** Name by which piscina finds the function below. */
export const TABLE_TASK = 'runTableTask'

/** Fills the half with its table and checksum. @entry */
export function runTableTask(task: TableTask): void {
  fillTable(task.input, task.half)
}
