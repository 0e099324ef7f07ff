// Makes release/pistachio_VERSION-REVISION_ARCHITECTURE.deb: the one-file executable with its manual pages, systemd unit, log rotation and
// default configuration. Needs dpkg-deb. The files are in deploy/.
// Usage: node scripts/package-deb.mjs [--binary FILE] [--revision N] [--quick] [--folder FOLDER]
//   --binary: an executable made by package-binary.mjs. --quick: less compression, 4 s instead of 80, 42 MB instead of 28.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const { values } = parseArgs({
  options: {
    binary: { type: 'string', default: '' },
    revision: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
    folder: { type: 'string', default: join(root, 'release') },
  },
})
const upstream = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version
const version = `${upstream}-${values.revision}`
const architecture = debianArchitecture()

mkdirSync(values.folder, { recursive: true })
const scratch = mkdtempSync(join(values.folder, 'deb.new-'))
const tree = join(scratch, 'tree')

function debianArchitecture() {
  try {
    return execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim()
  } catch (error) {
    console.error(`cannot run dpkg (${error.message}): install dpkg first (Debian and Ubuntu have it)`)
    process.exit(1)
  }
}

/** Writes a file of the package. */
function put(path, content, mode = 0o644) {
  const file = join(tree, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  chmodSync(file, mode)
}

/** A text of deploy/ with version and architecture filled in. */
function text(path) {
  return readFileSync(join(root, 'deploy', path), 'utf8')
    .replaceAll('@VERSION@', version)
    .replaceAll('@ARCHITECTURE@', architecture)
}

/** Without a timestamp, as Debian requires: the same build gives the same package. */
function compressed(content) {
  return gzipSync(content, { level: 9 })
}

/** @returns the licences of the executable's parts. */
function putExecutable() {
  let binary = values.binary
  if (binary === '') {
    binary = join(scratch, 'pistachio')
    execFileSync(process.execPath, [join(root, 'scripts/package-binary.mjs'), binary], { stdio: 'inherit' })
  }
  mkdirSync(join(tree, 'usr/sbin'), { recursive: true })
  copyFileSync(binary, join(tree, 'usr/sbin/pistachio'))
  chmodSync(join(tree, 'usr/sbin/pistachio'), 0o755)
  return readFileSync(`${binary}.licences.txt`, 'utf8')
}

function putSystemFiles() {
  put('lib/systemd/system/pistachio.service', text('systemd/pistachio.service'))
  put('usr/lib/pistachio/reload', text('systemd/reload'), 0o755)
  put('etc/pistachio/nutcracker.yml', text('debian/nutcracker.yml'))
  put('etc/default/pistachio', text('debian/default'))
  put('etc/logrotate.d/pistachio', text('debian/logrotate'))
  put('usr/share/lintian/overrides/pistachio', text('debian/lintian-overrides'))
  mkdirSync(join(tree, 'var/log/pistachio'), { recursive: true })
}

function putDocuments(licences) {
  const documents = 'usr/share/doc/pistachio'
  put('usr/share/man/man8/pistachio.8.gz', compressed(text('man/pistachio.8')))
  put(`${documents}/README.md.gz`, compressed(readFileSync(join(root, 'README.md'))))
  for (const name of ['operations.md', 'compatibility.md', 'commands.md']) {
    put(`${documents}/${name}.gz`, compressed(readFileSync(join(root, 'docs', name))))
  }
  put(`${documents}/examples/60-pistachio.conf`, text('systemd/60-pistachio.conf'))
  put(`${documents}/changelog.gz`, compressed(readFileSync(join(root, 'CHANGELOG.md'))))
  const date = new Date(Number(process.env.SOURCE_DATE_EPOCH ?? Date.now() / 1000) * 1000)
  const [maintainer] = /(?<=^Maintainer: ).*$/m.exec(text('debian/control'))
  const changes = `pistachio (${version}) unstable; urgency=medium\n\n  * What changed: changelog.gz.\n\n -- ${maintainer}  ${rfc2822(date)}\n`
  put(`${documents}/changelog.Debian.gz`, compressed(changes))
  put(`${documents}/copyright`, text('debian/copyright'))
  put(`${documents}/licences.txt.gz`, compressed(licences))
}

function rfc2822(date) {
  return date.toUTCString().replace('GMT', '+0000')
}

/** Every file of the package, as paths below its root. */
function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
}

function putControl() {
  const files = filesOf(tree)
  const sums = files.map(
    file =>
      `${createHash('md5')
        .update(readFileSync(join(tree, file)))
        .digest('hex')}  ${file}\n`,
  )
  const kilobytes = files.reduce((sum, file) => sum + Math.ceil(statSync(join(tree, file)).size / 1024), 0)
  put('DEBIAN/control', text('debian/control').replace('@INSTALLED_SIZE@', `${kilobytes}`))
  put('DEBIAN/md5sums', sums.join(''))
  const settings = files.filter(file => file.startsWith('etc/'))
  put('DEBIAN/conffiles', settings.map(file => `/${file}\n`).join(''))
  put('DEBIAN/triggers', text('debian/triggers'))
  for (const script of ['postinst', 'prerm', 'postrm']) put(`DEBIAN/${script}`, text(`debian/${script}`), 0o755)
}

try {
  // Only the owner may write, whatever the umask of who builds.
  process.umask(0o022)
  const licences = putExecutable()
  putSystemFiles()
  putDocuments(licences)
  putControl()
  const target = join(values.folder, `pistachio_${version}_${architecture}.deb`)
  const compression = values.quick ? ['-Zgzip', '-z1'] : ['-Zxz']
  const options = ['--root-owner-group', ...compression, '--build', tree, target]
  execFileSync('dpkg-deb', options, { stdio: ['ignore', 'ignore', 'inherit'] })
  console.log(`${target}: ${Math.round(statSync(target).size / 1e6)} MB`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
