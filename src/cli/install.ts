/** `stowage install`: installs Windows base OS images from the registered sources or from WIM files. */
import { additiveForms, USED_WITHOUT_ENGINE } from './locations.js'
import { command, flag, value, type Values, values } from './command.js'
import { chooseCandidates } from '../base-image/candidates.js'
import { installImages, installWims } from '../base-image/install.js'
import type { InstalledImage, InstallOptions, InstallResult } from '../base-image/install-options.js'
import { listSources } from '../base-image/sources.js'
import { StowageError } from '../errors.js'
import { destinationLocation, transportOf } from '../transport/location.js'
import { usualStore } from '../transport/usual-store.js'
import { roomDocument, roomText } from './plan-text.js'
import { noteStore } from './store-options.js'
import { notFound, query, QUERY_OPERANDS, QUERY_OPTIONS, type QueryOptions } from './find.js'
import { familiarNames, shortDigest } from './image-names.js'
import { IMAGE_OPTIONS, readImageOptions } from './image-options.js'
import { LAYER_OPTIONS, readLayerOptions } from './layer-options.js'
import { LOG_OPTIONS, triedFacts } from './log-options.js'
import { errorDocument, reportFailures } from './print-error.js'
import { count, printable, skippedText } from './render.js'
import type { Session } from './session.js'
import { policyTrust } from './trust-options.js'

const OPTIONS = {
  ...QUERY_OPTIONS,
  'all-versions': { ...QUERY_OPTIONS['all-versions'], hidden: true },
  wim: values('Install this WIM file, without a network or a source; may be repeated', { takes: 'path' }),
  image: value('With --wim: number or name of the image in the WIM'),
  tag: value('Name for the image, if only one is installed', { alias: 't' }),
  to: value(`${additiveForms()}; ${USED_WITHOUT_ENGINE}`, { takes: 'load destination' }),
  arch: value('Architecture, if an image exists for several: amd64, arm64', { takes: ['amd64', 'arm64'] }),
  path: value('Keep the WIM in this folder, as save does', { takes: 'directory' }),
  latest: flag('Also tag it latest'),
  force: flag('Install again, replacing an image of the same name; allow an engine to hold what its host cannot run', {
    alias: 'f',
  }),
  'skip-check': flag('Install even what "layer check" would reject'),
  'what-if': flag('Only show what would be installed'),
  ...LOG_OPTIONS,
  ...IMAGE_OPTIONS,
  ...LAYER_OPTIONS,
} as const

type Options = QueryOptions & Values<typeof OPTIONS>

export const install = command({
  operands: QUERY_OPERANDS,
  options: OPTIONS,
  examples: [
    ['install NanoServer', 'Save the newest version, check it, and make it an image'],
    [
      'install --wim NanoServer.wim --latest',
      'From a file, without a network, as nanoserver:10.0.14300.1010 and nanoserver:latest',
    ],
    ['install --wim NanoServer.wim --to bundle:site-a', 'Into a bundle'],
  ],
  run: async (options, session) => {
    const started = Date.now()
    const result = await run(options, session)
    session.record({ to: result.to, ...triedFacts(result.images) })
    noteStore(options.to, result.to, session)
    session.report(
      { schema: 'stowage.install/v1', to: result.to, images: result.images.map(documentOf) },
      result.images.map(image => line(image, result.to, options.quiet)).join(''),
    )
    reportFailures(result.images, ({ from }) => from)
    if (result.images.some(({ result: done }) => done === 'installed')) session.note(elapsed(Date.now() - started))
  },
})

async function run(options: Options, session: Session): Promise<InstallResult> {
  const { name: names, wim, path, host, latest, force } = options
  const { signal, onProgress, note, notice } = session
  checkChoice(options)
  const layer = readLayerOptions(options)
  const install: InstallOptions = {
    ...readImageOptions(options),
    to: options.to,
    name: options.tag,
    latest,
    force,
    layer,
    skipCheck: options['skip-check'],
    whatIf: options['what-if'] || options['dry-run'],
    trust: await policyTrust(),
    signal,
    onProgress,
    onNote: note,
    onNotice: notice,
  }
  if (wim.length > 0) return await installWims(wim, { ...install, image: options.image })
  const found = await query(options, session, true)
  for (const missing of notFound(names, found)) throw missing
  const to = options.to ?? (await usualStore(host, session))
  const preferred = found.length > 1 ? await architectureOf(to, host, session) : undefined
  const entries = chooseCandidates(found, { architecture: options.arch, preferred, versions: names[0] === '-' })
  const trusted = new Set((await listSources()).flatMap(source => (source.trusted ? [source.name] : [])))
  for (const source of new Set(entries.map(entry => entry.source)))
    if (!trusted.has(source))
      note(`source ${source} is not trusted: check what it provides (or add it with source add --trusted)`)
  return await installImages(entries, { ...install, to, path })
}

/** Throws INVALID_ARGUMENT for options that cannot be used together. */
function checkChoice(options: Options): void {
  const { name: names, wim } = options
  const refuse = (message: string, hint: string): never => {
    throw new StowageError('INVALID_ARGUMENT', message, { hint })
  }
  if (options['all-versions'])
    refuse(
      'all versions of an image cannot be installed at once',
      'Choose one with --version, or save them all: stowage save --all-versions.',
    )
  if (wim.length === 0 && names.length === 0)
    refuse('no image to install was named', 'Write stowage install NAME, or stowage install --wim FILE.')
  if (wim.length > 0 && names.length > 0)
    refuse(
      `an image of a source (${names[0]}) and a file (${wim[0]}) were both named`,
      'Install them one after the other.',
    )
  const sourced = ['version', 'min-version', 'max-version', 'arch', 'path'] as const
  if (wim.length > 0)
    for (const key of sourced)
      if (options[key] !== undefined) refuse(`--${key} selects among sources, but --wim names a file`, `Omit --${key}.`)
  if (wim.length === 0 && options.image !== undefined) refuse('--image requires --wim', 'Omit --image.')
  if (wim.length > 0 && options.source.length > 0)
    refuse('--source selects among sources, but --wim names a file', 'Omit --source.')
}

/** The architecture of the engine that the image goes to; undefined if it does not go to an engine. */
async function architectureOf(
  to: string,
  host: string | undefined,
  { signal, onProgress }: Session,
): Promise<string | undefined> {
  return (await transportOf(destinationLocation(to)).destination?.engine?.({ host, signal, onProgress }))?.platform
    .architecture
}

function documentOf({ error, ...image }: InstalledImage): Readonly<Record<string, unknown>> {
  return { ...image, ...roomDocument(image.room), ...errorDocument(error) }
}

function line(
  { result, fullName, name, version, names, id, from, findings, leftOut, room }: InstalledImage,
  to: string,
  quiet: boolean,
): string {
  const shown = familiarNames(names)
  if (quiet) return result === 'failed' ? '' : `${shown}\n`
  const warnings = findings.filter(({ severity }) => severity === 'warning').length
  switch (result) {
    case 'failed':
      return ''
    case 'installed':
      return printable(
        `${skippedText(leftOut)}Installed ${fullName} as ${shown} (${shortDigest(id ?? '')})${warnings > 0 ? `, with ${count(warnings, 'warning')} from layer check` : ''}\n`,
      )
    case 'exists':
      return printable(
        `${fullName} is already installed as ${shown} (${shortDigest(id ?? '')}). Use --force to install it again.\n`,
      )
    case 'what-if':
      return printable(
        `What if: installing ${name} version ${version} from ${from} into ${to}${names.length > 0 ? ` as ${shown}` : ''}\n${room ? roomText(room) : ''}`,
      )
  }
}

/** The elapsed time in the words of the `ContainerImage` PowerShell module of 2016. */
function elapsed(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000)
  return `Installed in ${Math.floor(seconds / 3600)} hours, ${Math.floor(seconds / 60) % 60} minutes, ${seconds % 60} seconds.`
}
