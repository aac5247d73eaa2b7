/** `--skip-missing`: leaves out the files with missing content, and says which. */
import type { MissingFile } from '../../wim/missing.js'
import type { ImageNumber } from '../../wim/options.js'
import type { WimFile } from '../../wim/wim-file.js'
import { count } from '../render.js'
import type { Session } from '../session.js'

/** Paths named in a note; --json has all of them. */
const MOST_NAMED = 10

/**
 * Takes the files out of the image, in memory, if that is `wanted`, and returns those that are `asked` for, which by
 * default are all.
 */
export async function skipMissing(
  wim: WimFile,
  image: ImageNumber,
  wanted: boolean,
  { signal, note }: Session,
  asked: (path: string) => boolean = () => true,
): Promise<readonly MissingFile[]> {
  if (!wanted) return []
  const files = (await wim.deleteMissing(image, { signal })).filter(({ path }) => asked(path))
  for (const { path } of files.slice(0, MOST_NAMED)) note(`Left out, as its content is missing: ${path}`)
  if (files.length > MOST_NAMED) note(`… and ${files.length - MOST_NAMED} more; --json lists all`)
  return files
}

/** What the result says of them, in JSON and at the end of a line. */
export function skippedDocument(files: readonly MissingFile[]): Readonly<Record<string, unknown>> {
  return files.length === 0 ? {} : { skipped: files.map(({ image, path, sha1 }) => ({ image, path, sha1 })) }
}

export function leftOutText(files: readonly MissingFile[]): string {
  return files.length === 0 ? '' : `, without ${count(files.length, 'file')} whose content is missing`
}
