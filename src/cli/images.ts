/** `stowage images`: lists the images in a store, in docker's format. */
import { anyNumber, choice, command, flag, values } from './command.js'
import { StowageError } from '../errors.js'
import { familiarReference, parseReference, type Reference } from '../oci/reference.js'
import type { StoredImage } from '../image/image-store.js'
import { listImages, type ListedImage, type ListImagesOptions } from '../verbs/images.js'
import { shownName } from '../image/select.js'
import { formatAgo } from './duration.js'
import { shortDigest } from './image-names.js'
import { errorDocument } from './print-error.js'
import { jsonText, table } from './render.js'
import { formatSize } from '../size-text.js'
import { refuseLocations, withStore } from './locations.js'
import { noteStore, storeOptions } from './store-options.js'

/** One row of the table: an image under one of its names, or without a name. */
interface Row {
  readonly image: ListedImage
  readonly repository: string
  readonly tag: string
  readonly digest: string
}

const NONE = '<none>'

export const images = command({
  operands: {
    name: anyNumber('NAME[:TAG], with * and ? as wildcards within one path component', 'image'),
  },
  options: {
    ...storeOptions(),
    all: flag('Include intermediate images of an engine, and artifacts such as signatures and SBOMs', { alias: 'a' }),
    quiet: flag('Only IDs', { alias: 'q' }),
    wide: flag('Also show NAME, PUBLISHER, VERSION, ISOSIMAGE and BASE'),
    digests: flag('Also show digests'),
    trunc: flag('Shorten IDs to twelve digits; --no-trunc shows them in full', { default: true }),
    filter: values(
      'reference=PATTERN, dangling=true|false, label=KEY[=VALUE], before=IMAGE or since=IMAGE; may be repeated',
      { alias: 'f', takes: ['reference=', 'dangling=true', 'dangling=false', 'label=', 'before=', 'since='] },
    ),
    format: choice("json: one JSON object per line, with docker's fields", ['table', 'json'], 'table'),
  },
  examples: [
    ['images', 'In the engine, or in the default store'],
    ['images --wide --store bundle:site-a.tar', 'With name, publisher, version and base of each'],
    ['images -q --filter dangling=true', 'IDs of the images without a name'],
  ],
  run: async ({ name, all, wide, digests, trunc, filter, format, store, host, ...options }, session) => {
    await refuseLocations(name, withStore('images'))
    const filters = filtersOf(filter)
    const references = [...name, ...filters.references]
    const list = await listImages({
      ...filters,
      references,
      all,
      store,
      host,
      signal: session.signal,
      onProgress: session.onProgress,
    })
    noteStore(store, list.store, session)
    for (const { id, error } of list.images) if (error) session.note(`warning: ${id} cannot be read: ${error.message}`)
    const rows = list.images.flatMap(rowsOf)
    const text = options.quiet
      ? idsText(list.images, trunc)
      : format === 'json'
        ? rows.map(row => `${jsonText(lineOf(row, trunc))}\n`).join('')
        : tableText(rows, { wide, digests, trunc })
    session.report(
      { schema: 'stowage.images/v1', store: list.store, images: list.images.map(storedImageDocument) },
      text,
    )
  },
})

function filtersOf(filters: readonly string[]): Pick<ListImagesOptions, 'dangling' | 'before' | 'since'> & {
  readonly references: readonly string[]
  readonly labels: readonly string[]
} {
  const found: Record<string, string[]> = {}
  for (const filter of filters) {
    const [, key = '', value = ''] = /^(reference|dangling|label|before|since)=(.+)$/s.exec(filter) ?? []
    if (key === '' || (key === 'dangling' && !/^(true|false|1|0)$/.test(value))) {
      throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(filter)} is not a filter`, {
        hint: 'Write reference=PATTERN, dangling=true, label=KEY[=VALUE], before=IMAGE or since=IMAGE.',
      })
    }
    found[key] = [...(found[key] ?? []), value]
  }
  for (const key of ['dangling', 'before', 'since']) {
    if ((found[key]?.length ?? 0) > 1)
      throw new StowageError('INVALID_ARGUMENT', `--filter ${key}=… was given more than once`)
  }
  const [dangling] = found['dangling'] ?? []
  return {
    references: found['reference'] ?? [],
    labels: found['label'] ?? [],
    before: found['before']?.[0],
    since: found['since']?.[0],
    ...(dangling === undefined ? {} : { dangling: /^(true|1)$/.test(dangling) }),
  }
}

function rowsOf(image: ListedImage): readonly Row[] {
  const repositoryOf = ({ domain, path }: Reference): string => familiarReference({ domain, path })
  const digests = image.digests.map(parseReference)
  const own = image.id
  const digestOf = (repository: string): string =>
    digests.find(each => repositoryOf(each) === repository)?.digest ?? NONE
  const named = image.names.map(parseReference).map((name): Row => {
    const repository = repositoryOf(name)
    return { image, repository, tag: name.tag ?? NONE, digest: digestOf(repository) }
  })
  const byRefName = image.refNames.map((tag): Row => ({ image, repository: NONE, tag, digest: own }))
  if (named.length + byRefName.length > 0) return [...named, ...byRefName]
  const [first] = digests
  return [{ image, repository: first ? repositoryOf(first) : NONE, tag: NONE, digest: first?.digest ?? NONE }]
}

function tableText(
  rows: readonly Row[],
  { wide, digests, trunc }: { readonly wide: boolean; readonly digests: boolean; readonly trunc: boolean },
): string {
  const heading = [
    'REPOSITORY',
    'TAG',
    ...(digests ? ['DIGEST'] : []),
    'IMAGE ID',
    'CREATED',
    'SIZE',
    ...(wide ? ['NAME', 'PUBLISHER', 'VERSION', 'ISOSIMAGE', 'BASE'] : []),
  ]
  return table(
    heading,
    rows.map(({ image, repository, tag, digest }) => [
      repository,
      tag,
      ...(digests ? [digest] : []),
      shownId(image, trunc),
      formatAgo(image.created),
      image.error ? '-' : formatSize(image.size),
      ...(wide
        ? [
            image.name || '-',
            image.publisher || '-',
            image.version || '-',
            image.isOSImage ? 'True' : 'False',
            image.base ? shownName(image.base) : '-',
          ]
        : []),
    ]),
  )
}

function idsText(images: readonly StoredImage[], trunc: boolean): string {
  return images.map(image => `${shownId(image, trunc)}\n`).join('')
}

function shownId({ id }: StoredImage, trunc: boolean): string {
  return trunc ? shortDigest(id) : id
}

/** A row as JSON, with docker's field names. */
function lineOf({ image, repository, tag, digest }: Row, trunc: boolean): Readonly<Record<string, unknown>> {
  return {
    ID: shownId(image, trunc),
    Repository: repository,
    Tag: tag,
    Digest: digest,
    CreatedSince: formatAgo(image.created),
    CreatedAt: image.created ?? 'N/A',
    Size: formatSize(image.size),
  }
}

/** An image as it appears in JSON output. */
export function storedImageDocument({ error, base, ...image }: ListedImage): Readonly<Record<string, unknown>> {
  return {
    ...image,
    ...(base ? { base: { id: base.id, names: [...base.names, ...base.refNames] } } : {}),
    ...errorDocument(error),
  }
}
