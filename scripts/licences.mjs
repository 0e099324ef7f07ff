// The licences of packages that became part of a bundle: they want to go along with it.
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** @param files paths of bundled modules. @returns the licence of each package among them, with its name; a package without one throws. */
export function licences(files) {
  const folders = files.flatMap(file => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? [])
  const texts = [...new Set(folders)].sort().map(folder => {
    const name = readdirSync(folder).find(each => /^licen[cs]e/i.test(each))
    if (name === undefined) throw new Error(`${folder} has no licence`)
    return `${basename(folder)}\n\n${readFileSync(join(folder, name), 'utf8').trim()}\n`
  })
  return texts.join(`\n${'-'.repeat(80)}\n\n`)
}
