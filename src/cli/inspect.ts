/** `stowage inspect`: shows an image without fetching its layers. */
import { HOST_OPTION, PLATFORMS, readRegistryOptions, REGISTRY_OPTIONS } from './image-options.js'
import { writeDurably } from '../blob/durable.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { command, flag, required, value, values } from './command.js'
import { StowageError } from '../errors.js'
import { type Inspection, inspect as inspectLocation, inspectRaw } from '../verbs/inspect.js'
import type { InspectedImage, InspectedPlatform } from '../image/inspection.js'
import { formatPlatform } from '../oci/platform.js'
import { familiarNames, shortDigest } from './image-names.js'
import { count, table } from './render.js'
import { exactSize, formatSize } from '../size-text.js'

export const inspect = command({
  operands: {
    location: required('An image, named as for "pack", or a whole bundle, bundle:PATH', 'source'),
  },
  options: {
    platform: values('Only this os[/arch[/variant]][:os.version]; may be repeated', { takes: PLATFORMS }),
    raw: flag('Print the manifest or index, byte for byte; with --platform, the manifest of that platform'),
    config: flag('Print the image config, byte for byte'),
    html: value('Write a page about it, for a browser, to this file; "-": standard output', { takes: 'path' }),
    host: HOST_OPTION,
    ...REGISTRY_OPTIONS,
  },
  examples: [
    ['inspect nginx:1.27', 'An image in a registry'],
    ['inspect nginx:1.27 --platform linux/arm64 --config', 'The config of one platform'],
    ['inspect bundle:site-a', 'Every image of a bundle'],
    ['inspect --html nginx.html nginx:1.27', 'A page about an image'],
  ],
  run: async (
    { location, raw, config, html, platform, host, ...options },
    { signal, onProgress, report, print, notice },
  ) => {
    if ([raw, config, html === STANDARD_STREAM, options.json].filter(Boolean).length > 1 || (html && (raw || config))) {
      throw new StowageError('INVALID_ARGUMENT', '--raw, --config, --html and --json cannot be used together')
    }
    const settings = {
      platforms: platform,
      host,
      ...readRegistryOptions(options),
      signal,
      onNotice: notice,
      onProgress,
    }
    if (raw || config) {
      await print(await inspectRaw(location, raw ? 'manifest' : 'config', settings))
      return
    }
    if (html !== undefined) {
      const { inspectPage } = await import('../verbs/inspect-page.js')
      const page = await inspectPage(location, settings)
      if (html === STANDARD_STREAM) {
        await print(page)
        return
      }
      await writeDurably(html, page)
      report(
        { schema: 'stowage.inspect-page/v1', path: html, size: page.length },
        `Wrote ${html}: a page about ${location}\n`,
      )
      return
    }
    const found = await inspectLocation(location, settings)
    report({ schema: 'stowage.inspect/v1', ...found }, text(found))
  },
})

function text({ images }: Inspection): string {
  const [only, ...others] = images
  if (only && others.length === 0) return imageText(only)
  return table(
    ['NAME', 'PLATFORM', 'SIZE', 'DIGEST', 'CREATED'],
    images.map(image => [
      nameOf(image),
      image.platforms.map(({ platform }) => formatPlatform(platform)).join(', ') || '-',
      image.size === undefined ? '-' : formatSize(image.size),
      image.root ? shortDigest(image.root.digest) : '-',
      image.platforms[0]?.created ?? '-',
    ]),
  )
}

function nameOf({ names, wim }: InspectedImage): string {
  return wim ? `${wim.index} ${wim.name}` : familiarNames(names)
}

function imageText(image: InspectedImage): string {
  const { root, id, size, platforms, others, absent, wim } = image
  const [only, ...more] = platforms
  const lines: (readonly string[])[] = [
    ...(root
      ? [
          ['Digest', root.digest],
          ['Media type', root.mediaType],
        ]
      : []),
    ...(root?.artifactType ? [['Artifact type', root.artifactType]] : []),
    ...(id ? [['ID', id]] : []),
    ...(size === undefined ? [] : [['Size', exactSize(size)]]),
    ...pairs('Annotation', root?.annotations ?? {}),
    ...(root?.subject ? [['Subject', root.subject.digest]] : []),
    ...(wim ? wimLines(wim) : []),
    ...(only && more.length === 0 ? platformLines(only, root?.digest) : []),
  ]
  const several =
    more.length === 0
      ? ''
      : `\n${table(
          ['PLATFORM', 'DIGEST', 'SIZE', 'LAYERS', 'CREATED'],
          platforms.map(each => [
            formatPlatform(each.platform),
            each.manifest?.digest ?? '-',
            formatSize(each.size ?? 0),
            String(each.layers.length),
            each.created ?? '-',
          ]),
        )}`
  const layers = only && more.length === 0 && only.layers.length > 0 ? `\n${layerTable(only)}` : ''
  const attached =
    others.length === 0
      ? ''
      : `\n${table(
          ['ALSO', 'TYPE', 'DIGEST', 'SIZE', 'ABOUT'],
          others.map(other => [
            other.type,
            other.manifest.artifactType ?? other.manifest.mediaType,
            other.manifest.digest,
            formatSize(other.size),
            other.about ?? '-',
          ]),
        )}`
  const missing =
    absent.length === 0
      ? ''
      : `\n${table(
          ['NOT HERE', 'PLATFORM'],
          absent.map(({ digest, platform }) => [digest, platform ? formatPlatform(platform) : '-']),
        )}`
  return table(['Name', nameOf(image)], lines) + several + layers + attached + missing
}

function wimLines(wim: NonNullable<InspectedImage['wim']>): (readonly string[])[] {
  const contents = `${count(wim.files, 'file')}, ${count(wim.directories, 'directory', 'directories')}`
  return [
    ['WIM', `${wim.path}, image ${wim.index}`],
    ['Files', `${contents}, ${exactSize(wim.size)}`],
    ...[
      ['Description', wim.description],
      ['Product', wim.productName],
      ['Edition', wim.editionId],
      ['Installation', wim.installationType],
    ].filter((pair): pair is [string, string] => pair[1] !== undefined),
    ...(wim.languages.length > 0 ? [['Languages', wim.languages.join(', ')]] : []),
  ]
}

function platformLines(image: InspectedPlatform, root: string | undefined): (readonly string[])[] {
  const words = (list: readonly string[]): string => JSON.stringify(list)
  const single = [
    ['Created', image.created],
    ['Author', image.author],
    ['User', image.user],
    ['Working directory', image.workingDir],
    ['Stop signal', image.stopSignal],
  ] as const
  return [
    ['Platform', formatPlatform(image.platform)],
    ...(image.manifest && image.manifest.digest !== root
      ? [['Manifest', image.manifest.digest], ...pairs('Annotation', image.manifest.annotations)]
      : []),
    ...(image.config ? [['Config', image.config.digest]] : []),
    ...single.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ...(image.entrypoint.length > 0 ? [['Entrypoint', words(image.entrypoint)]] : []),
    ...(image.cmd.length > 0 ? [['Cmd', words(image.cmd)]] : []),
    ...image.env.map(value => ['Env', value]),
    ...image.exposedPorts.map(value => ['Port', value]),
    ...image.volumes.map(value => ['Volume', value]),
    ...pairs('Label', image.labels),
  ]
}

function pairs(name: string, values: Readonly<Record<string, string>>): (readonly string[])[] {
  return Object.entries(values).map(([key, value]) => [name, `${key}=${value}`])
}

function layerTable({ layers }: InspectedPlatform): string {
  return table(
    ['LAYER', 'SIZE', 'MEDIA TYPE'],
    layers.map(({ digest, diffId, size, mediaType, urls }) => [
      digest ?? diffId ?? '-',
      size === undefined ? '-' : formatSize(size),
      `${mediaType ?? '-'}${urls ? ` at ${urls.join(' ')}` : ''}`,
    ]),
  )
}
