/** `stowage load`: loads the images of a bundle into an engine, a registry or a layout. */
import { BUNDLE_FORMS, bundlePath, DEFAULT_STORE, loadForms } from './locations.js'
import { anyNumber, command, flag, required, value, values } from './command.js'
import { type LoadedImage, loadBundle, type LoadResult, planLoad } from '../verbs/load.js'
import { parseLocation, transportOf } from '../transport/location.js'
import { familiarNames, shortDigest } from './image-names.js'
import { IMAGE_OPTIONS, PLATFORMS, readImageOptions } from './image-options.js'
import { errorDocument, reportFailures } from './print-error.js'
import { reportPlan } from './plan-text.js'
import { deliveredText } from './arrival-text.js'
import { LOG_OPTIONS, triedFacts } from './log-options.js'
import { count, lostText, printable, table } from './render.js'
import { formatSize } from '../size-text.js'
import { namesVolumes } from '../volumes/find.js'
import { readTrustOptions, signatureText, TRUST_OPTIONS } from './trust-options.js'
import { volumeAsker } from './volume-options.js'

/** --platform and --referrers mean something of their own here. */
const { platform: _platform, referrers: _referrers, ...OTHER_OPTIONS } = IMAGE_OPTIONS

export const load = command({
  operands: {
    bundle: required(`A bundle: ${BUNDLE_FORMS}`, 'path'),
    image: anyNumber(
      'Only these: names, tags or digests of its images; or more places that hold volumes of the bundle',
      'image of the bundle',
    ),
  },
  options: {
    to: value(`${loadForms()}; ${DEFAULT_STORE}`, { default: 'docker-daemon:', takes: 'load destination' }),
    platform: values(
      'Only this platform of the images that have it, os[/arch[/variant]][:os.version]; may be repeated',
      { takes: PLATFORMS },
    ),
    referrers: flag('With IMAGEs or --platform: also load what refers to the images, such as signatures and SBOMs'),
    ...TRUST_OPTIONS,
    receipt: value('Write an inventory of what is there afterwards to this file, for "pack --have"', { takes: 'path' }),
    ...LOG_OPTIONS,
    ...OTHER_OPTIONS,
  },
  examples: [
    ['load /media/stick/site-a', 'Everything into the Docker Engine'],
    ['load /media/stick/site-a --to docker://registry.example:5000/mirror', 'Everything into the registry of the site'],
    ['load site-a.tar --key plant.pub', 'Only if it is signed by this key'],
    ['load site-a.tar shop:2.3', 'One image of the bundle'],
    ['load /media/stick1 /media/stick2', 'A bundle in volumes on two sticks'],
    ['load - < site-a.tar.zst', 'A compressed bundle, or one from a pipe'],
    ['load site-a --to oci:./layout', 'Into an OCI layout on disk, without an engine'],
  ],
  run: async ({ bundle, image, to, receipt, ...options }, session) => {
    const { signal, onProgress, report, note, notice } = session
    const path = await bundlePath(
      bundle,
      location => `load takes a bundle. For an image anywhere else, use copy: stowage copy ${location} ${to}`,
    )
    const more: string[] = []
    const names: string[] = []
    for (const word of image) ((await namesVolumes(word)) ? more : names).push(word)
    const { trust, receipts } = await readTrustOptions(options)
    const askForVolume = volumeAsker(session)
    const settings = {
      ...readImageOptions(options),
      to,
      names,
      more,
      trust,
      receipt,
      receipts,
      logHeads: session.logHeads,
      askForVolume,
      onNotice: notice,
      signal,
      onProgress,
    }
    if (options['dry-run']) {
      reportPlan(await planLoad(path, settings), session)
      return
    }
    session.record({ bundle: { path }, to })
    const result = await loadBundle(path, settings)
    const { digest, signatures } = result
    session.record({
      ...triedFacts(result.images.map(image => ({ ...image, names: image.loadedAs ?? image.names }))),
      bundle: { path, digest, signedBy: signatures.signedBy },
    })
    for (const image of result.images) {
      const { id } = image
      if (id === undefined) continue
      for (const line of deliveredText(familiarNames(image.names), { ...image, id })) note(`note: ${line}`)
    }
    report(document(result), `${printable(signatureText(result.signatures, trust))}${text(result)}`)
    reportFailures(result.images, ({ names }) => familiarNames(names))
  },
})

function document({ path, to, images, present, signatures, doubts }: LoadResult): Readonly<Record<string, unknown>> {
  return {
    schema: 'stowage.load/v1',
    path,
    to,
    ...(present ? { present } : {}),
    images: images.map(({ error, ...image }) => ({
      ...image,
      ...errorDocument(error),
    })),
    ...(signatures.signatures.length > 0 ? { signatures } : {}),
    ...(doubts.length > 0 ? { doubts } : {}),
  }
}

function text({ to, images, present = [] }: LoadResult): string {
  const tried = images.filter(({ leftOut }) => leftOut === undefined)
  const loaded = tried.filter(({ error }) => !error).length
  const rows = images.map(image => [
    familiarNames(image.loadedAs?.length ? image.loadedAs : image.names),
    image.platforms.join(', ') || '-',
    formatSize(image.size),
    ...outcome(image),
  ])
  const total = count(tried.length, 'image')
  const there =
    present.length > 0
      ? `${count(present.length, 'image')} that the delta leaves out: already there, as expected\n`
      : ''
  const listed = rows.length > 0 ? table(['NAME', 'PLATFORM', 'SIZE', 'ID', 'SENT', 'RESULT'], rows) : ''
  const summary = `Loaded ${loaded === tried.length ? '' : `${loaded} of `}${total} into ${titleOf(to)}`
  return `${listed}${printable(lostText(images.flatMap(image => image.lost ?? [])))}${there}${summary}\n`
}

function outcome({ id, sent, skipped, leftOut, error }: LoadedImage): readonly string[] {
  if (leftOut !== undefined) return ['-', '-', `left out: ${leftOut}`]
  if (id === undefined || error) return ['-', '-', error?.code ?? '-']
  return [
    shortDigest(id),
    formatSize(sent),
    skipped === 0 ? 'loaded' : `loaded, ${formatSize(skipped)} already present`,
  ]
}

/** The destination as it is named in a sentence. */
function titleOf(to: string): string {
  return transportOf(parseLocation(to)).title ?? to
}
