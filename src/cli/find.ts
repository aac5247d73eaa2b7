/** `stowage find` and `stowage save`: find base OS images in the registered sources, and save them as WIM files. */
import { anyNumber, command, flag, value, type Values, values } from './command.js'
import { text } from 'node:stream/consumers'
import { chooseCandidates } from '../base-image/candidates.js'
import type { CatalogContent, CatalogEntry } from '../base-image/catalog.js'
import { saveImage, type SavedImage, type SaveOptions } from '../base-image/save.js'
import { missingNames } from '../base-image/find.js'
import { findImages } from '../base-image/search.js'
import { formatVersion, parseVersion } from '../base-image/version.js'
import { orError, StowageError } from '../errors.js'
import { array, optionalString, parseJson, record, size, string } from '../oci/json.js'
import { errorDocument, reportFailures } from './print-error.js'
import { count, printable, table } from './render.js'
import { formatSize } from '../size-text.js'
import { READ_BACK_TEXT, reportRoom, roomDocument, roomText } from './plan-text.js'
import { VERIFY_OPTION, verifiedDocument, verifiedText } from './verify-option.js'
import { readRegistryOptions, REGISTRY_OPTIONS } from './image-options.js'
import type { Session } from './session.js'
import { policyTrust } from './trust-options.js'
import { parseVolumeSize, VOLUME_SIZE } from './volume-options.js'

const SAVE_AGAIN = 'run the same command again, which checks it.'

/** An image that could not be saved. */
interface FailedImage {
  readonly name: string
  readonly version: string
  readonly result: 'failed'
  readonly error: StowageError
}

/** Operands that select images. */
export const QUERY_OPERANDS = {
  name: anyNumber('Names, with * and ? as wildcards; case does not matter'),
} as const

/** Options that select images. */
export const QUERY_OPTIONS = {
  version: value('Exactly this version'),
  'min-version': value('This version or a newer one'),
  'max-version': value('This version or an older one'),
  'all-versions': flag('Every version, not only the newest'),
  source: values('Only this source, by name or location; may be repeated', { takes: 'registered source' }),
  ...REGISTRY_OPTIONS,
} as const

export type QueryOptions = Values<typeof QUERY_OPTIONS & typeof QUERY_OPERANDS>

export const find = command({
  operands: QUERY_OPERANDS,
  options: QUERY_OPTIONS,
  examples: [
    ['find nano*', 'The newest version of each match'],
    ['find NanoServer --all-versions', 'Every version of one image'],
  ],
  run: async (options, session) => {
    const entries = await query(options, session)
    session.report(
      { schema: 'stowage.find/v1', images: entries.map(documentOf) },
      table(
        ['NAME', 'VERSION', 'SOURCE', 'SUMMARY'],
        entries.map(entry => [entry.name, formatVersion(entry.version), entry.source, entry.summary].map(printable)),
      ),
    )
    reportFailures(notFound(options.name, entries).map(error => ({ error })))
  },
})

export const save = command({
  operands: QUERY_OPERANDS,
  options: {
    ...QUERY_OPTIONS,
    path: value('Folder to save them in', { required: true, takes: 'directory' }),
    arch: value('Architecture, if an image exists for several: amd64, arm64', { takes: ['amd64', 'arm64'] }),
    force: flag('Replace existing files; create the folder if needed', { alias: 'f' }),
    'volume-size': value(
      'Split a WIM that is larger than this into parts, x.swm, x2.swm …, which Windows Setup and wimlib take: fat32, or a size such as 4GiB',
      VOLUME_SIZE.settings,
    ),
    verify: VERIFY_OPTION,
    'what-if': flag('Only show what would be saved', { alias: 'dry-run' }),
  },
  examples: [
    ['save NanoServer --version 10.0.14300.1010 --path /media/stick', 'One version, onto a stick'],
    ['save NanoServer --path /media/stick --volume-size fat32', 'In parts, for a stick with FAT32'],
    ['find nano* --json | stowage save - --path .', 'Everything that find found'],
  ],
  run: async ({ path, force, arch, verify, 'volume-size': volumeSize, ...options }, session) => {
    const { signal, onProgress, report, notice } = session
    const partSize = volumeSize === undefined ? undefined : parseVolumeSize(volumeSize)
    const saveOne = async (entry: CatalogEntry, settings: SaveOptions): Promise<SavedImage> => {
      if (partSize === undefined) return await saveImage(entry, path, settings)
      const { saveImageParts } = await import('../base-image/save-parts.js')
      return await saveImageParts(entry, path, partSize, settings)
    }
    const tlsSkipVerify = options['tls-skip-verify']
    const found = await query(options, session, true)
    const wims = found.filter(({ content }) => content.type !== 'image')
    const entries = chooseCandidates(wims.length > 0 ? wims : found, { architecture: arch, versions: true })
    if (entries.length === 0)
      throw new StowageError('IMAGE_NOT_FOUND', 'no source has a matching image', {
        hint: 'List what is available: stowage find --all-versions.',
      })
    for (const missing of notFound(options.name, entries)) throw missing
    const images: (SavedImage | FailedImage)[] = []
    for (const entry of entries) {
      const done = await orError(
        async () =>
          await saveOne(entry, {
            force,
            verify,
            whatIf: options['what-if'],
            tlsSkipVerify,
            signal,
            onNotice: notice,
            onProgress,
          }),
        signal,
      )
      images.push(
        done instanceof StowageError
          ? { name: entry.name, version: formatVersion(entry.version), result: 'failed', error: done }
          : done,
      )
    }
    const failed = images.filter(image => 'error' in image)
    const [only] = failed
    if (only && images.length === 1) throw only.error
    report(
      {
        schema: 'stowage.save/v1',
        images: images.map(image =>
          'error' in image
            ? { ...image, ...errorDocument(image.error) }
            : { ...image, ...roomDocument(image.room), ...verifiedDocument(image.verified, SAVE_AGAIN) },
        ),
      },
      images.flatMap(image => ('error' in image ? [] : [line(image)])).join(''),
    )
    reportFailures(failed)
    for (const image of images) if (!('error' in image)) reportRoom(image.room)
  },
})

/** An error for each name without wildcards that matched nothing. A pattern is allowed to match nothing. */
export function notFound(names: readonly string[], found: readonly CatalogEntry[]): readonly StowageError[] {
  return missingNames(
    names.filter(name => name !== '-'),
    found,
  ).map(
    name =>
      new StowageError('IMAGE_NOT_FOUND', `no source has an image that matches ${name}`, {
        hint: 'List what is available: stowage find --all-versions.',
      }),
  )
}

/** The images that the sources offer or, if the only name is `-`, those that `find --json` piped to stdin. */
export async function query(
  options: QueryOptions,
  { signal, onProgress, note, notice }: Session,
  everySource = false,
): Promise<readonly CatalogEntry[]> {
  const names = options.name
  if (names.length === 1 && names[0] === '-') return await piped()
  return await findImages({
    names,
    version: options.version,
    minVersion: options['min-version'],
    maxVersion: options['max-version'],
    allVersions: options['all-versions'],
    everySource,
    sources: options.source,
    ...readRegistryOptions(options),
    trust: await policyTrust(),
    signal,
    onNotice: notice,
    onProgress,
    onWarning: warning => note(`warning: ${warning}`),
  })
}

async function piped(): Promise<readonly CatalogEntry[]> {
  try {
    return parseFound(await text(process.stdin))
  } catch (error) {
    throw new StowageError('INVALID_ARGUMENT', 'standard input is not the output of "stowage find --json"', {
      hint: 'stowage find NAME --json | stowage save - --path FOLDER, or | stowage install -',
      cause: error,
    })
  }
}

/** Parses every field: piped input is no more trustworthy than an index. */
function parseFound(json: string): readonly CatalogEntry[] {
  const where = 'standard input'
  const document = record(parseJson(new TextEncoder().encode(json.replace(/^\uFEFF/, '')), where), where)
  if (document['schema'] !== 'stowage.find/v1') throw new TypeError(`its schema is ${String(document['schema'])}`)
  return array(document, 'images', where).map((item, n) => {
    const at = `images[${n}]`
    const image = record(item, at)
    return {
      name: string(image, 'name', at),
      version: parseVersion(string(image, 'version', at)),
      source: string(image, 'source', at),
      summary: optionalString(image, 'summary', at) ?? '',
      architecture: optionalString(image, 'architecture', at),
      content: parseContent(record(image['content'], `${at}.content`), `${at}.content`),
    }
  })
}

function parseContent(content: Readonly<Record<string, unknown>>, at: string): CatalogContent {
  const sha256 = optionalString(content, 'sha256', at)
  const bytes = content['size'] === undefined ? undefined : size(content, 'size', at)
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256))
    throw new TypeError(`${at}.sha256 is not a SHA-256 digest`)
  switch (content['type']) {
    case 'web':
      return { type: 'web', url: string(content, 'url', at), sha256, size: bytes }
    case 'file':
      return { type: 'file', path: string(content, 'path', at), sha256, size: size(content, 'size', at) }
    case 'image':
      return {
        type: 'image',
        location: string(content, 'location', at),
        digest: optionalString(content, 'digest', at),
        size: bytes,
      }
    default:
      throw new TypeError(`${at} has no location`)
  }
}

/**
 * Keeps the query of each URL, even if it contains an access key: `save` and `install` need it when they read the pipe.
 */
function documentOf({ version, ...entry }: CatalogEntry): Readonly<Record<string, unknown>> {
  return { ...entry, version: formatVersion(version) }
}

function line({ name, version, path, size: bytes, parts, result, room, verify, verified }: SavedImage): string {
  const sizeText = bytes === undefined ? '' : ` (${formatSize(bytes)})`
  switch (result) {
    case 'saved':
      return printable(
        `Saved ${path}${parts ? ` in ${count(parts.length, 'part')}` : ''}${sizeText}\n${verifiedText(verified, SAVE_AGAIN)}`,
      )
    case 'exists':
      return printable(`${path} already exists. Skipping save. Use --force to overwrite.\n`)
    case 'what-if':
      return printable(
        `What if: saving ${name} version ${version} as ${path}${sizeText}\n${room ? roomText(room) : ''}${verify ? READ_BACK_TEXT : ''}`,
      )
  }
}
