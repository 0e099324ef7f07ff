// The licences of the packages in a bundle or in the executable: they require that their text is distributed too.
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

const RULE = `\n${'-'.repeat(80)}\n\n`

/** @param files paths of bundled modules. @returns the licence of each package among them, with its name; a package without one throws. */
export function licences(files) {
  const folders = files.flatMap(file => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? [])
  const texts = [...new Set(folders)].sort().map(folder => {
    const name = readdirSync(folder).find(each => /^licen[cs]e/i.test(each))
    if (name === undefined) throw new Error(`${folder} has no licence`)
    return `${basename(folder)}\n\n${readFileSync(join(folder, name), 'utf8').trim()}\n`
  })
  return texts.join(RULE)
}

/**
 * The licence of the running Node and of its parts. The file is beside Node's executable or in the npm package `node`.
 * @param root the project's folder. @returns the licence, or its address if the file is in neither place.
 */
export function nodeLicence(root) {
  const npmPackage = `node_modules/node/node_modules/node-${process.platform}-${process.arch}`
  const places = [join(dirname(realpathSync(process.execPath)), '..'), join(root, npmPackage)]
  const file = places.map(place => join(place, 'LICENSE')).find(place => existsSync(place))
  const address = `https://github.com/nodejs/node/blob/${process.version}/LICENSE`
  return `${RULE}Node.js ${process.version}\n\n${file === undefined ? address : readFileSync(file, 'utf8')}`
}
