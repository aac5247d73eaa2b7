/** `stowage pack --file`: packs the images that a file lists, or shows what would be packed. */
import { flag, value, type Values } from './command.js'
import { StowageError } from '../errors.js'
import type { ImagesFilePlan, PackImagesFileOptions } from '../images-file/pack-images-file.js'
import type { PackResult } from '../verbs/pack.js'
import { transports } from '../transport/list.js'
import { shortDigest } from './image-names.js'
import { PLAN_COLUMNS, planDocument, planRow, reportProblems, totalText } from './plan-text.js'
import { count, printable, table } from './render.js'
import { formatSize } from '../size-text.js'
import type { Session } from './session.js'

export const PACK_FILE_OPTIONS = {
  file: value(
    'List of images to pack, in addition to any IMAGE arguments: images.yaml (see "stowage schema"), a reference a line, a compose file or Kubernetes YAML; - is standard input',
    { alias: 'f', takes: 'path' },
  ),
  lock: value('With --file: the lock file (default: the name of the list, with .lock)', { takes: 'path' }),
  locked: flag('With --file: pack exactly what the lock says'),
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
  { file, lock, locked, 'dry-run': dryRun }: Values<typeof PACK_FILE_OPTIONS> & { readonly 'dry-run': boolean },
  { output, tag, ...options }: Settings,
  { note, report }: Session,
): Promise<PackResult | 'planned' | undefined> {
  if (file === undefined && (locked || lock !== undefined)) {
    throw new StowageError('INVALID_ARGUMENT', `--${locked ? 'locked' : 'lock'} requires --file`)
  }
  if (file !== undefined && tag !== undefined)
    throw new StowageError('INVALID_ARGUMENT', '--tag names one image: with --file, write "name" in the list')
  if (file !== undefined && output !== undefined && isLocation(output))
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${output} takes one image, not a list: name the image instead of --file`,
    )
  if (file !== undefined && dryRun) {
    const { planImagesFile } = await import('../images-file/pack-images-file.js')
    const plan = await planImagesFile(file, output, { ...options, lock, locked })
    report({ schema: 'stowage.pack-plan/v1', ...planDocument(plan) }, text(plan))
    reportProblems(plan)
    return 'planned'
  }
  if (file === undefined || output === undefined) return undefined
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

function text(plan: ImagesFilePlan): string {
  const list = plan.path === '-' ? 'standard input' : plan.path
  const rows = plan.images.map(image => [...planRow(image), image.at === undefined ? '-' : `${list}:${image.at.line}`])
  const files = plan.files.map(({ path, size, digest }) => {
    const bytes = formatSize(size)
    return [path, '-', bytes, shortDigest(digest), bytes, '-', list]
  })
  const contents = `${count(plan.images.length, 'image')} and ${count(plan.files.length, 'file')}`
  return printable(`${table([...PLAN_COLUMNS, 'FROM'], [...rows, ...files])}${contents}: ${totalText(plan, 'pack')}`)
}
