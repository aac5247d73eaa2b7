/** Saves base OS images as split WIMs (`.swm`), for media that cannot hold a file of their size. */
import { readdir, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { openReadBack } from '../archive/read-back.js'
import { checkSpace } from '../archive/space.js'
import { syncPath, writeDurably } from '../blob/durable.js'
import { hashFile } from '../blob/hash-file.js'
import { withLock } from '../blob/lock.js'
import { readIfThere } from '../blob/read-if-there.js'
import { rename } from '../blob/rename.js'
import { Workspace } from '../blob/workspace.js'
import { abortError, fileError, StowageError } from '../errors.js'
import { digestFromHex, hexOf } from '../oci/digest.js'
import type { WaitOptions } from '../progress.js'
import { volumesOf } from '../volumes/description.js'
import { openWim } from '../wim/wim-file.js'
import type { CatalogEntry } from './catalog.js'
import { type SavedImage, saveImage, type SaveOptions, wimName } from './save.js'
import { withWim } from './use-wim.js'
import { formatVersion } from './version.js'

/** One part of a split WIM. */
interface SavedPart {
  readonly path: string
  readonly size: number
  readonly sha256: string
}

/**
 * Like {@link saveImage}, but a WIM of more than `partSize` bytes becomes the parts `<Name>-<a-b-c-d>.swm`, `…2.swm` …,
 * which Windows Setup and wimlib take as they are; `<file>.swm.sha256` lists them for `sha256sum -c`. A WIM that comes
 * from the web is whole in `TMPDIR` meanwhile. Throws what {@link saveImage} throws, UNSUPPORTED for a solid WIM (.esd)
 * and for a file in the WIM that alone is larger than a part.
 */
export async function saveImageParts(
  entry: CatalogEntry,
  directory: string,
  partSize: number,
  options: SaveOptions = {},
): Promise<SavedImage> {
  const { content, name, version } = entry
  const first = join(directory, wimName(entry).replace(/\.wim$/, '.swm'))
  const about = { name, version: formatVersion(version), path: first }
  if (content.type === 'image' || (content.size !== undefined && content.size <= partSize))
    return await saveImage(entry, directory, options)
  if (options.whatIf) {
    const { path: _path, ...planned } = await saveImage(entry, directory, options)
    return { ...planned, path: first }
  }
  try {
    if (!options.force) {
      const there = await savedParts(first)
      if (there) return { ...about, ...there, result: 'exists', resumed: 0 }
    }
    const take = async (whole: SavedPart): Promise<SavedImage> => {
      if (whole.size <= partSize)
        return await saveImage({ ...entry, content: { type: 'file', ...whole } }, directory, options)
      return await withLock(
        `${first}.lock`,
        async () => ({ ...about, ...(await split(whole.path, first, partSize, options)), resumed: 0 }),
        options,
      )
    }
    if (content.type === 'file') return await take(await checkedWim(content, options))
    return await withWim({ ...entry, content }, { savedTo: directory }, options, async ({ resumed, ...whole }) => ({
      ...(await take(whole)),
      resumed,
    }))
  } catch (error) {
    throw abortError(fileError(error, first), options.signal)
  }
}

/** The WIM of a folder, if it is what its source says. Throws DIGEST_MISMATCH. */
async function checkedWim(
  { path, sha256: expected }: { readonly path: string; readonly sha256: string | undefined },
  waiting: WaitOptions,
): Promise<SavedPart> {
  const { size, digest } = await hashFile(path, waiting)
  const sha256 = hexOf(digest)
  if (expected === undefined || expected === sha256) return { path, size, sha256 }
  throw new StowageError('DIGEST_MISMATCH', `${path}: its source says sha256 ${expected}, but it is ${sha256}`, {
    hint: 'Do not use the file: ask the operator of the source.',
  })
}

/** Splits the WIM `source`. The parts get their names when all are complete and listed, the first one last. */
async function split(
  source: string,
  first: string,
  partSize: number,
  { verify, force = false, signal, onProgress }: SaveOptions,
): Promise<Pick<SavedImage, 'size' | 'sha256' | 'result' | 'parts' | 'verified'>> {
  const directory = dirname(first)
  const { size } = await stat(source)
  await checkSpace(directory, { sizes: volumesOf(size, partSize).map(part => part.size), estimate: true })
  const old = await partsBeside(first)
  if (old.length > 0 && !force)
    throw new StowageError('OUTPUT_EXISTS', `${old[0]} exists already`, { hint: 'Replace it with --force.' })
  await using workspace = new Workspace(first)
  const made = await workspace.path()
  await using wim = await openWim(source)
  await wim.split(join(made, basename(first)), partSize, { signal })
  const parts: SavedPart[] = []
  for (const name of await partNames(made, basename(first))) {
    const { digest, ...file } = await hashFile(join(made, name), { signal, onProgress })
    if (file.size > partSize) throw tooLarge(first, file.size, partSize)
    parts.push({ path: join(directory, name), size: file.size, sha256: hexOf(digest) })
  }
  const readBack = await openReadBack(first, verify, { signal, onProgress })
  await readBack?.check(
    parts.map(part => ({
      path: join(made, basename(part.path)),
      name: part.path,
      regions: [{ offset: 0, size: part.size, digest: digestFromHex(part.sha256) }],
    })),
  )
  for (const path of old) await rm(path)
  const lines = parts.map(part => `${part.sha256}  ${basename(part.path)}\n`).join('')
  await writeDurably(sumsOf(first), new TextEncoder().encode(lines))
  for (const { path } of parts.toReversed()) await rename(join(made, basename(path)), path)
  await syncPath(directory, 'directory')
  onProgress?.({ type: 'done', subject: first })
  const verified = readBack?.verified
  return { ...facts(parts), result: 'saved', ...(verified ? { verified } : {}) }
}

/**
 * The parts that are there, if they are what their list says. Throws OUTPUT_EXISTS if there is no list, and
 * DIGEST_MISMATCH.
 */
async function savedParts(first: string): Promise<Pick<SavedImage, 'size' | 'sha256' | 'parts'> | undefined> {
  const there = await partsBeside(first)
  if (there.length === 0) return undefined
  const list = (await readIfThere(sumsOf(first))) ?? ''
  const sums = new Map([...list.matchAll(/^([0-9a-f]{64}) [ *](.+)$/gm)].map(([, hex = '', name = '']) => [name, hex]))
  if (sums.size === 0) {
    throw new StowageError('OUTPUT_EXISTS', `${first} exists, but it cannot be checked: there is no ${sumsOf(first)}`, {
      hint: 'Replace it with --force.',
    })
  }
  const parts: SavedPart[] = []
  for (const name of new Set([...sums.keys(), ...there.map(path => basename(path))])) {
    const path = join(dirname(first), name)
    const expected = sums.get(name)
    const found = there.includes(path) ? await hashFile(path) : undefined
    const sha256 = found && hexOf(found.digest)
    if (!found || sha256 === undefined || sha256 !== expected) {
      const what = found ? `is ${sha256 ?? ''}` : 'is not there'
      throw new StowageError(
        'DIGEST_MISMATCH',
        `${path}: ${sumsOf(first)} says sha256 ${expected ?? 'nothing'}, and it ${what}`,
        { hint: 'Do not use it: replace it with --force, or save into another folder.' },
      )
    }
    parts.push({ path, size: found.size, sha256 })
  }
  return facts(parts)
}

function facts(parts: readonly SavedPart[]): Pick<SavedImage, 'size' | 'sha256' | 'parts'> {
  return { size: parts.reduce((sum, { size }) => sum + size, 0), sha256: undefined, parts }
}

function sumsOf(first: string): string {
  return `${first}.sha256`
}

async function partsBeside(first: string): Promise<readonly string[]> {
  return (await partNames(dirname(first), basename(first))).map(name => join(dirname(first), name))
}

/** `x.swm`, `x2.swm` … in `directory`, in their order. */
async function partNames(directory: string, first: string): Promise<readonly string[]> {
  const stem = first.slice(0, -'.swm'.length)
  const numberOf = (name: string): number => {
    const [, digits] = name.startsWith(stem) ? (/^(\d*)\.swm$/.exec(name.slice(stem.length)) ?? []) : []
    if (digits === undefined) return 0
    return digits === '' ? 1 : Number(digits)
  }
  const names = await readdir(directory).catch((error: unknown) => {
    throw fileError(error, directory)
  })
  return names.filter(name => numberOf(name) > 0).sort((a, b) => numberOf(a) - numberOf(b))
}

function tooLarge(first: string, size: number, partSize: number): StowageError {
  return new StowageError('UNSUPPORTED', `${first}: a file in the WIM makes a part of ${size} bytes, not ${partSize}`, {
    hint: 'A file in a WIM cannot be cut: allow larger parts, or use a medium that holds them.',
  })
}
