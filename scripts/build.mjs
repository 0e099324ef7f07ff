// Checks the types of src, then bundles it to dist: one file a thread, where its entry lies in src, because finding and reading small modules
// was a third of the start. In a scratch folder first, so that a failed or concurrent build never leaves half a program behind.
import { execFileSync } from 'node:child_process'
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { licences } from './licences.mjs'

/** What the process, its workers and the thread that fills routing tables run. */
const ENTRIES = ['main/index', 'worker/index', 'routing/ring-table-task']
/** Packages that few starts need: they stay where npm puts them and are loaded when they are needed. All others become part of the bundles. */
const LOADED_LATER = ['pino', 'piscina']

const { resolve: fileOf } = createRequire(import.meta.url)
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const tsconfig = join(root, 'tsconfig.build.json')
const scratch = join(root, `dist.new-${process.pid}`)
const old = join(root, `dist.old-${process.pid}`)

/**
 * Not minified, and with a source map, so that a stack in the log says where it was.
 * @returns the files that it was made of.
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
  // The compiler has said what is wrong.
  if (error.status === undefined) console.error(error)
  rmSync(scratch, { recursive: true, force: true })
  process.exit(1)
}
const dist = join(root, 'dist')
if (existsSync(dist)) renameSync(dist, old)
renameSync(scratch, dist)
rmSync(old, { recursive: true, force: true })
