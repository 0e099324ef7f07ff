/**
 * The one-file executable that `npm run package:binary` makes, for tests of how it starts and is
 * found.
 */

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { scratchFolder } from './child.ts'

const PACKAGER = fileURLToPath(new URL('../../../scripts/package-binary.mjs', import.meta.url))

export class Executable {
  readonly #folder = scratchFolder()
  readonly #file = join(this.#folder, 'pistachio')

  /** Takes about 3 s. */
  constructor() {
    execFileSync(process.execPath, [PACKAGER, this.#file], { stdio: ['ignore', 'ignore', 'inherit'] })
  }

  /** Copies the file, as an administrator would. @returns `path`. */
  install(path: string): string {
    mkdirSync(dirname(path), { recursive: true })
    cpSync(this.#file, path)
    return path
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
