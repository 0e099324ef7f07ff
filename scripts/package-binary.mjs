// Makes release/pistachio: the whole program as one executable file, which is Node with the bundles of all threads inside (Node's
// single-executable form). A machine needs only the C and C++ libraries for it (glibc 2.28 or later).
// Usage: node scripts/package-binary.mjs [FILE], which also writes FILE.licences.txt
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { licences, nodeLicence } from './licences.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { resolve: fileOf } = createRequire(import.meta.url)
const THREADS = join(root, 'scripts/binary/worker-threads.ts')
const TABLE_TASK = join(root, 'src/routing/ring-table-task.ts')
const PISCINA_WORKER = join(dirname(fileOf('piscina')), 'worker.js')
/** Marks the place in Node's executable that tells Node whether the executable contains a program. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
/** Paths of the program's files, which are on no disk; `binary/worker-threads.ts` finds the programs of threads by them. */
const PLACES = {
  'import.meta.url': '"file:///main/index.js"',
  'import.meta.filename': '"/main/index.js"',
  __dirname: '"/piscina"',
}
/** What the program loads by a name that it computes at run time: [file, text, replacement]. */
const INLINED = [
  [join(root, 'src/log/json-sink.ts'), "createRequire(import.meta.url)('pino')", "require('pino')"],
  [PISCINA_WORKER, 'require(s)', `require(${JSON.stringify(TABLE_TASK)})`],
]

/** @param isPrimary whether threads are started from the bundle. */
function inlining(isPrimary) {
  return {
    name: 'inlining',
    resolveId: (source, importer) =>
      isPrimary && source === 'node:worker_threads' && importer !== THREADS ? THREADS : null,
    transform(code, id) {
      const row = INLINED.find(([file]) => file === id)
      if (row === undefined) return null
      const [file, there, instead] = row
      const parts = code.split(there)
      if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} places with ${there}, not one`)
      return parts.join(instead)
    },
  }
}

/**
 * One thread's program as one CommonJS file: an executable of Node 24 takes no other.
 * @returns the files in the bundle.
 */
async function bundle(input, file, isPrimary) {
  const build = await rolldown({
    cwd: root,
    input,
    platform: 'node',
    tsconfig: join(root, 'tsconfig.build.json'),
    // Piscina asks for it only to change a thread's priority.
    external: ['@napi-rs/nice'],
    // The package looks for a native addon first, by names that no bundler can follow.
    resolve: { alias: { 'fast-crc32c': fileOf('fast-crc32c/impls/js_crc32c.js') } },
    transform: { define: PLACES },
    plugins: [inlining(isPrimary)],
  })
  const { output } = await build.write({ file, format: 'cjs', codeSplitting: false, comments: false })
  await build.close()
  return output.flatMap(chunk => chunk.moduleIds ?? [])
}

/** Runs a tool of Node; its output matters only when it fails. */
function run(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${args[0]} failed\n${stdout}${stderr}`)
}

/** Puts the bundles into a copy of the Node that runs this. */
function assemble(scratch, file) {
  const blob = join(scratch, 'blob')
  const config = {
    main: join(scratch, 'main.cjs'),
    output: blob,
    disableExperimentalSEAWarning: true,
    useCodeCache: true,
    // nutcracker reads no NODE_OPTIONS.
    execArgvExtension: 'none',
    assets: { worker: join(scratch, 'worker.cjs'), 'table-thread': join(scratch, 'table-thread.cjs') },
  }
  writeFileSync(join(scratch, 'sea.json'), JSON.stringify(config))
  run('--experimental-sea-config', join(scratch, 'sea.json'))
  copyFileSync(process.execPath, file)
  chmodSync(file, 0o755)
  // A seventh of the file is symbols that only a debugger reads.
  const { error } = spawnSync('strip', ['--strip-all', file], { stdio: 'inherit' })
  if (error !== undefined) console.error(`Could not strip the executable, it is 18 MB larger: ${error.message}`)
  run(fileOf('postject/dist/cli.js'), file, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE)
}

const target = resolve(process.argv[2] ?? join(root, 'release', 'pistachio'))
mkdirSync(dirname(target), { recursive: true })
const scratch = mkdtempSync(`${target}.new-`)
try {
  const files = [
    ...(await bundle(join(root, 'scripts/binary/main.ts'), join(scratch, 'main.cjs'), true)),
    ...(await bundle(join(root, 'src/worker/index.ts'), join(scratch, 'worker.cjs'), false)),
    ...(await bundle(PISCINA_WORKER, join(scratch, 'table-thread.cjs'), false)),
  ]
  const file = join(scratch, 'pistachio')
  assemble(scratch, file)
  // Checks that it starts and prints its version.
  const version = spawnSync(file, ['-V'], { encoding: 'utf8' }).stderr.split('\n')[2]
  if (!version?.startsWith('pistachio ')) throw new Error(`${file} does not start`)
  writeFileSync(`${target}.licences.txt`, licences(files) + nodeLicence(root))
  renameSync(file, target)
  console.log(`${target}: ${version}, ${Math.round(statSync(target).size / 1e6)} MB`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
