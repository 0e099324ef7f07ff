/** What comments and pages may say: words that the glossary replaces, and files that exist. */

import { commentsOf, type SourceFile } from './source-tree.ts'

/** Patterns that read twice, with what to write instead. Compared without regard to case. */
export const BANNED: readonly (readonly [RegExp, string])[] = [
  [/\bwhoever\b/gi, 'name the actor: the client, the worker, the server'],
  [/\bnobody\b/gi, 'no client, no request; or name what is missing'],
  [/\bso (long|many|much)\b(?! as\b)/gi, 'this long, this many, this much; or give the number'],
  [/\banew\b/gi, 'again'],
  [/\bat hand\b/gi, 'the current request, the current reply'],
  [/\b(of|from|by) its(?=[.,;:)]|\s*(\*\/)?$)/gi, 'its own'],
  [/\blikewise\b/gi, 'say what happens'],
  [/\bfor good\b/gi, 'permanently, or leave it out'],
  [/\borderly end\b/gi, 'graceful shutdown'],
  [/\bcut off\b/gi, 'disconnected'],
  [/\bfor want of\b/gi, 'because there is no'],
  [/\bin the way of\b/gi, 'as'],
]

/** @returns `path:line: word` of every banned pattern in the file's comments. */
export function bannedIn(file: SourceFile): string[] {
  return commentsOf(file).flatMap(({ text, line }) => bannedInText(file.path, text, line))
}

/** @param line of the text's beginning. @returns the same for a whole text: a page, a help text. */
export function bannedInText(path: string, text: string, line = 1): string[] {
  return BANNED.flatMap(([pattern]) =>
    [...text.matchAll(pattern)].map(match => {
      const below = text.slice(0, match.index).split('\n').length - 1
      return `${path}:${line + below}: ${match[0]}`
    }),
  )
}

/** The comments of a shell script, a Dockerfile or a YAML file, each on its line. */
export function hashComments(text: string): string {
  return text
    .split('\n')
    .map(line => /(?:^|\s)#(.*)$/.exec(line)?.[1] ?? '')
    .join('\n')
}

/**
 * @param paths every source file, from the root.
 * @returns names of TypeScript files in comments or pages that do not exist.
 */
export function missingFiles(file: SourceFile, paths: readonly string[]): string[] {
  const texts = file.path.endsWith('.md') ? [file.text] : commentsOf(file).map(comment => comment.text)
  const named = texts.flatMap(text => [...text.matchAll(/(?<![\w@./*-])((?:[\w-]+\/)*[\w-]+\.(?:ts|mjs))\b/g)])
  return named
    .map(match => match[1]!)
    .filter(name => !paths.some(path => path === name || path.endsWith(`/${name}`)))
    .map(name => `${file.path} names ${name}`)
}

/**
 * @param files every source file.
 * @returns `path.ts:name` in the page whose file does not exist or does not declare the name: no
 * function, method, class or constant.
 */
export function missingFunctions(page: SourceFile, files: readonly SourceFile[]): string[] {
  const named = [...page.text.matchAll(/(?<![\w@./*-])((?:[\w-]+\/)*[\w-]+\.ts):([A-Za-z_]\w*)/g)]
  return named
    .filter(([, path, name]) => {
      const method = `^  (\\w+ )*#?${name}[(<].*(\\{|\\()$`
      const declared = new RegExp(`^(export )?(async )?(function|class|const|interface) ${name}\\b|${method}`, 'm')
      return !files.some(file => (file.path === path || file.path.endsWith(`/${path}`)) && declared.test(file.text))
    })
    .map(([step]) => `${page.path} names ${step}`)
}
