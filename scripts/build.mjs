// Checks the types of src, then bundles it to dist: one file per thread, at the path of its entry in src, because finding and reading small
// modules took a third of the start. It builds in a scratch folder first, so that a failed or concurrent build leaves no partial program.
import { execFileSync } from 'node:child_process'
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { licences } from './licences.mjs'

/** The entries of the primary, the workers, and the thread that fills routing tables. */
const ENTRIES = ['main/index', 'worker/index', 'routing/ring-table-task']
/** Packages that few starts need: the program loads them from node_modules when it needs them. All others become part of the bundles. */
const LOADED_LATER = ['pino', 'piscina']

const { resolve: fileOf } = createRequire(import.meta.url)
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const tsconfig = join(root, 'tsconfig.build.json')
const scratch = join(root, `dist.new-${process.pid}`)
const old = join(root, `dist.old-${process.pid}`)

/**
 * Not minified, and with a source map, so that a stack in the log names functions and lines.
 * @returns the files in the bundle.
 */
async function bundle(entry) {
  const input = join(root, 'src', `${entry}.ts`)
  const build = await rolldown({
    cwd: root,
    input,
    platform: 'node',
    external: LOADED_LATER,
    tsconfig,
    // The package itself looks for a native addon first, which npm would compile where the program is installed.
    resolve: { alias: { 'fast-crc32c': fileOf('fast-crc32c/impls/js_crc32c.js') } },
  })
  const file = join(scratch, `${entry}.js`)
  const { output } = await build.write({ file, format: 'esm', codeSplitting: false, comments: false, sourcemap: true })
  await build.close()
  return output.flatMap(chunk => chunk.moduleIds ?? [])
}

try {
  execFileSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', tsconfig], { stdio: 'inherit' })
  const files = []
  for (const entry of ENTRIES) files.push(...(await bundle(entry)))
  writeFileSync(join(scratch, 'licences.txt'), licences(files))
} catch (error) {
  // The compiler has printed the error.
  if (error.status === undefined) console.error(error)
  rmSync(scratch, { recursive: true, force: true })
  process.exit(1)
}
const dist = join(root, 'dist')
if (existsSync(dist)) renameSync(dist, old)
renameSync(scratch, dist)
rmSync(old, { recursive: true, force: true })
