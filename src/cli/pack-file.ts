/** `stowage pack --file`: packs the images that a file lists, or shows what would be packed. */
import { flag, value, type Values } from './command.js'
import { StowageError } from '../errors.js'
import type { ImagesFilePlan, PackImagesFileOptions } from '../images-file/pack-images-file.js'
import type { PackResult } from '../verbs/pack.js'
import { transports } from '../transport/list.js'
import { familiarNames, shortDigest } from './image-names.js'
import { count, formatSize, printable, table } from './render.js'
import type { Session } from './session.js'

export const PACK_FILE_OPTIONS = {
  file: value(
    'List of images to pack, in addition to any IMAGE arguments: images.yaml (see "stowage schema"), a reference a line, a compose file or Kubernetes YAML; - is standard input',
    { alias: 'f' },
  ),
  lock: value('With --file: the lock file (default: the name of the list, with .lock)'),
  locked: flag('With --file: pack exactly what the lock says'),
  'dry-run': flag('With --file: show what would be packed'),
} as const

interface Settings extends PackImagesFileOptions {
  readonly output: string | undefined
  readonly tag: string | undefined
}

/**
 * Packs the images listed in `file`, or with --dry-run reports what would be packed. Undefined if there is no file or
 * no output. Throws INVALID_ARGUMENT for options that cannot be used together.
 */
export async function packByFile(
  { file, lock, locked, 'dry-run': dryRun }: Values<typeof PACK_FILE_OPTIONS>,
  { output, tag, ...options }: Settings,
  { note, report }: Session,
): Promise<PackResult | 'planned' | undefined> {
  if (file === undefined && (dryRun || locked || lock !== undefined)) {
    throw new StowageError('INVALID_ARGUMENT', `--${dryRun ? 'dry-run' : locked ? 'locked' : 'lock'} requires --file`)
  }
  if (file !== undefined && tag !== undefined)
    throw new StowageError('INVALID_ARGUMENT', '--tag names one image: with --file, write "name" in the list')
  if (file !== undefined && dryRun) {
    const { planImagesFile } = await import('../images-file/pack-images-file.js')
    const plan = await planImagesFile(file, { ...options, lock, locked })
    report({ schema: 'stowage.pack-plan/v1', ...plan }, text(plan))
    return 'planned'
  }
  if (file === undefined || output === undefined) return undefined
  if (isLocation(output))
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${output} takes one image, not a list: name the image instead of --file`,
    )
  const { listTitle } = await import('../images-file/other-lists.js')
  const { packImagesFile } = await import('../images-file/pack-images-file.js') // the YAML parser loads only if needed
  const result = await packImagesFile(file, output, { ...options, lock, locked })
  if (result.list !== 'images.yaml') note(`${file}: read as a ${listTitle(result.list)}`)
  if (result.lock !== undefined) note(locked ? `as locked in ${result.lock}` : `locked in ${result.lock}`)
  return result
}

/**
 * Whether the output is a location such as `wim:FILE`, which takes one image as `copy` does, not the path of a bundle.
 */
export function isLocation(output: string): boolean {
  return transports().some(({ scheme, destination }) => destination !== undefined && output.startsWith(`${scheme}:`))
}

function text({ path, images, files }: ImagesFilePlan): string {
  const list = path === '-' ? 'standard input' : path
  const rows = images.map(({ location, at, names, platforms, size, digest }) => [
    names.length > 0 ? familiarNames(names) : location,
    platforms.join(', ') || '-',
    size === undefined ? '-' : formatSize(size),
    digest === undefined ? '-' : shortDigest(digest),
    at === undefined ? '-' : `${list}:${at.line}`,
  ])
  const fileRows = files.map(({ path: file, size, digest }) => [file, '-', formatSize(size), shortDigest(digest), list])
  const sizes = [...images.map(({ size }) => size ?? 0), ...files.map(({ size }) => size)]
  const total = formatSize(sizes.reduce((sum, size) => sum + size, 0))
  const unknown = images.filter(({ size }) => size === undefined).length
  const contents = `${count(images.length, 'image')} and ${count(files.length, 'file')}`
  const limit = `at most ${total}${unknown > 0 ? ` plus ${count(unknown, 'image')} of unknown size` : ''}`
  return printable(
    `${table(['NAME', 'PLATFORM', 'SIZE', 'DIGEST', 'FROM'], [...rows, ...fileRows])}Would pack ${contents}, ${limit}\n`,
  )
}
