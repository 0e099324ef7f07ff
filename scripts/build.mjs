// Compiles src to dist in a scratch folder first, so that a failed or concurrent build never leaves half a program behind.
import { execFileSync } from 'node:child_process'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const scratch = join(root, `dist.new-${process.pid}`)
const old = join(root, `dist.old-${process.pid}`)
const tsc = join(root, 'node_modules', '.bin', 'tsc')
try {
  execFileSync(tsc, ['-p', join(root, 'tsconfig.build.json'), '--outDir', scratch], { stdio: 'inherit' })
} catch {
  rmSync(scratch, { recursive: true, force: true })
  process.exit(1)
}
const dist = join(root, 'dist')
if (existsSync(dist)) renameSync(dist, old)
renameSync(scratch, dist)
rmSync(old, { recursive: true, force: true })
