/** `stowage wim extract`: extracts files and directories of an image, or writes the content of files to stdout. */
import { StowageError } from '../../errors.js'
import type { ExtractPathsOptions } from '../../wim/options.js'
import type { WimFile } from '../../wim/wim-file.js'
import { count } from '../render.js'
import type { Session } from '../session.js'
import { chooseOneImage, openWimArchive, readTextFile } from './archive.js'
import { flag, value } from '../command.js'
import { wimCommand } from './command.js'
import { ifSet, EXTRACTION, extractOptions } from './options.js'
import { literalPath, parsePathList, pathMatcher, withParents } from './path-list.js'
import { watch } from './progress.js'
import { skipMissing, skippedDocument, leftOutText } from './skip-missing.js'
import {
  FILE_ATTRIBUTE_DIRECTORY,
  FILE_ATTRIBUTE_ENCRYPTED,
  FILE_ATTRIBUTE_REPARSE_POINT,
} from '../../windows/file-attributes.js'

export const extract = wimCommand({
  name: 'extract',
  operands: 'WIMFILE IMAGE [(PATH | @LISTFILE)...]',
  options: {
    ...EXTRACTION,
    'dest-dir': value('Destination directory (default: the current one)', { takes: 'directory' }),
    'to-stdout': flag('Write the content of the files to stdout'),
    'no-globs': flag('Take *, ? and case in paths literally', { alias: 'no-wildcards' }),
    nullglob: flag('Continue if a path or pattern matches nothing'),
    'preserve-dir-structure': flag('Keep the parent directories of each PATH; a LISTFILE always keeps them'),
  },
  examples: [
    ["extract install.wim 1 '/Windows/System32/drivers/*.sys' --dest-dir=drivers", 'The files that a pattern matches'],
    ['extract install.wim 1 @list.txt --dest-dir=some', 'The files in a list, one path per line'],
    ['extract boot.wim 2 /Windows/win.ini --to-stdout', 'The content of a file'],
  ],
  run: async (values, [path = '', selector = '', ...words], session) => {
    const wim = await openWimArchive(path, values, session)
    const image = await chooseOneImage(wim, selector)
    const options: ExtractPathsOptions = {
      ...extractOptions(values),
      rpfix: false,
      glob: values['no-globs'] ? undefined : true,
      strictGlob: values['no-globs'] || values.nullglob ? undefined : true,
    }
    const paths = words.length === 0 ? ['/'] : words.filter(operand => !operand.startsWith('@'))
    const listed: string[] = []
    for (const operand of words.filter(each => each.startsWith('@'))) {
      listed.push(...parsePathList(await readTextFile(operand.slice(1), session.signal)))
    }
    const all = [...paths, ...listed]
    const matcher = (path: string): ((found: string) => boolean) =>
      values['no-globs'] ? found => found === literalPath(path) : pathMatcher(path, values.ignoreCase)
    const covers = all.map(matcher)
    const skipped = await skipMissing(wim, image, values['skip-missing'], session, path =>
      withParents(path).some(each => covers.some(covering => covering(each))),
    )
    // Nothing may be left for what matches only files that are left out
    const isSkipped = (path: string): boolean => skipped.some(file => matcher(path)(file.path))
    if (values['to-stdout']) {
      await writeToStdout(wim, image, all, { ...options, isSkipped }, values.ignoreCase, session)
      return
    }
    const target = values['dest-dir'] ?? '.'
    const job = watch(session, target, { verbose: values.verbose })
    const preserveDirStructure = ifSet(values['preserve-dir-structure']) ?? false
    const extractAll = async (named: readonly string[], more: ExtractPathsOptions): Promise<void> => {
      const [maybe, certain] = [named.filter(isSkipped), named.filter(each => !isSkipped(each))]
      if (certain.length > 0) await wim.extractPaths(image, certain, target, { ...options, ...more, ...job })
      if (maybe.length > 0 && options.glob)
        await wim.extractPaths(image, maybe, target, { ...options, strictGlob: undefined, ...more, ...job })
    }
    await extractAll(paths, { preserveDirStructure })
    await extractAll(listed, { preserveDirStructure: true })
    session.report(
      { schema: 'stowage.wim-extract/v1', path, image, target, paths: all, ...skippedDocument(skipped) },
      `${path}: ${words.length === 0 ? `image ${image}` : count(all.length, 'path')} extracted to ${target}${leftOutText(skipped)}\n`,
    )
  },
})

/** Writes the files in the order of `paths`; files that one pattern matches are in the order of the image. */
async function writeToStdout(
  wim: WimFile,
  image: number,
  paths: readonly string[],
  {
    glob,
    strictGlob,
    isSkipped,
  }: Pick<ExtractPathsOptions, 'glob' | 'strictGlob'> & { readonly isSkipped: (path: string) => boolean },
  ignoreCase: boolean,
  { print, signal, note }: Session,
): Promise<void> {
  for (const path of paths) {
    let found = false
    const matches = glob === true ? pathMatcher(path, ignoreCase) : undefined
    const entries = matches ? wim.entries(image, { signal }) : wim.entries(image, { path, recursive: false, signal })
    const files: string[] = []
    for await (const entry of entries) {
      if (matches && !matches(entry.path)) continue
      found = true
      if (
        (entry.attributes & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_ENCRYPTED)) ===
        0
      )
        files.push(entry.path)
      else throw new StowageError('INVALID_ARGUMENT', `${entry.path} is not a regular file, so it cannot go to stdout`)
    }
    if (!found && isSkipped(path)) continue
    if (!found && strictGlob === true) {
      throw new StowageError('FILE_NOT_FOUND', `nothing in image ${image} matches ${path}`, {
        hint: '--nullglob ignores this; "stowage wim dir" lists the files.',
      })
    }
    if (!found) note(`Nothing in image ${image} matches ${path}`)
    for (const file of files) for await (const bytes of wim.readFile(image, file, { signal })) await print(bytes)
  }
}
