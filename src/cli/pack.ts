/** `stowage pack`: packs images into a bundle. */
import { sourceForms } from './locations.js'
import { anyNumber, command, flag, number, value, values } from './command.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import type { BundleAssumption } from '../bundle/delta.js'
import type { BundleImage } from '../bundle/manifest.js'
import { ARCHIVE_COMPRESSIONS } from '../oci/compression.js'
import { formatPlatform } from '../oci/platform.js'
import { StowageError } from '../errors.js'
import { pack as packBundle, type PackResult } from '../verbs/pack.js'
import type { PackOptions } from '../verbs/pack-requests.js'
import { familiarNames, shortDigest } from './image-names.js'
import { IMAGE_OPTIONS, readImageOptions } from './image-options.js'
import { LAYER_OPTIONS, readLayerOptions } from './layer-options.js'
import { isLocation, packByFile, PACK_FILE_OPTIONS } from './pack-file.js'
import { reportPlan } from './plan-text.js'
import { packedText } from './arrival-text.js'
import { LOG_OPTIONS, packedFacts } from './log-options.js'
import { parsePercent, protectText } from './protect.js'
import { count, printable, skippedText, table } from './render.js'
import { formatSize } from '../size-text.js'
import type { Release } from '../signature/release.js'
import { PASSPHRASE_FILE, readSigner, SIGN_COMMAND } from './sign-options.js'
import { signedText } from './sign.js'
import { policyTrust } from './trust-options.js'
import { VERIFY_OPTION, verifiedDocument, verifiedText, verifyAgain } from './verify-option.js'
import { mediumAsker, parseVolumeSize, VOLUME_SIZE_OPTION } from './volume-options.js'

export const pack = command({
  operands: {
    image: anyNumber(sourceForms(), 'source'),
  },
  options: {
    output: value(
      'The bundle: a new or empty directory, or a name ending in .tar, .tar.gz, .tar.zst or .tar.xz, or - for standard output; or wim:FILE[#NAME] for one image as a WIM',
      { alias: 'o', requiredUnless: 'dry-run', takes: 'path' },
    ),
    tag: value('Name of the image in the bundle, if there is only one IMAGE', { alias: 't' }),
    'volume-size': VOLUME_SIZE_OPTION,
    have: values(
      'Leave out what this inventory or bundle says the destination has: the bundle is a delta; may be repeated',
      { takes: 'path' },
    ),
    'also-for': values(
      'With --have: another site, by its inventory; only what every site has is left out; may be repeated',
      { takes: 'path' },
    ),
    verify: VERIFY_OPTION,
    update: flag('Replace the contents of an existing bundle directory with what is packed now'),
    serial: number('Serial number of the bundle, so that an older one is refused where this was loaded'),
    series: value('With --serial: what the numbers count, such as the name of a site', { valueName: 'NAME' }),
    'sign-key': value('Sign the bundle with this private key, see "stowage sign"', { takes: 'path' }),
    'sign-command': SIGN_COMMAND,
    'passphrase-file': PASSPHRASE_FILE,
    recovery: value('Add recovery data for as much of the bundle, such as 5%: see "stowage protect"', {
      takes: ['5%', '10%'],
      valueName: 'PERCENT',
    }),
    'no-deep': flag('Do not decompress layers to compare them with what the images say: faster, and proves less'),
    ...LOG_OPTIONS,
    ...PACK_FILE_OPTIONS,
    ...IMAGE_OPTIONS,
    ...LAYER_OPTIONS,
  },
  examples: [
    ['pack docker://registry.example/team/shop:2.3 -o site-a', 'One image from a registry'],
    ['pack docker-daemon:shop:2.3 -o /media/stick/site-a', 'One image from the engine, as a directory on a stick'],
    ['pack docker-daemon:shop:2.3 wim:NanoServer.wim -o site-a.tar', 'Two images in one tar that docker load reads'],
    ['pack oci:./layout:v1 -o site-a -t shop:2.3', 'From an OCI layout, under another name'],
    ['pack -f images.yaml -o site-a', 'Everything in a list'],
    [
      'pack docker-daemon:shop:2.3 -o /media/stick/site-a.tar --volume-size fat32',
      'In parts that a FAT32 stick can hold',
    ],
    ['pack -f images.yaml --have site-a.json -o next-trip', 'Without what the inventory of a site has: a delta'],
    ['pack docker-daemon:shop:2.3 -o - | ssh site stowage load -', 'Straight to another machine'],
  ],
  run: async (
    { image, output, tag, have, 'also-for': alsoFor, update, verify, 'volume-size': volumeSize, recovery, ...options },
    session,
  ) => {
    const { signal, onProgress, report, note, notice } = session
    if (output === STANDARD_STREAM && !options['dry-run']) session.claimStdout()
    const [only, ...others] = image
    session.record({ bundle: output === undefined ? undefined : { path: output } })
    const show = (result: PackResult): void => {
      session.record(packedFacts(result.path, result.manifest))
      for (const line of packedText(result)) note(`note: ${line}`)
      report(document(result), text(result))
    }
    const signer = await readSigner(
      {
        option: '--sign-key',
        key: options['sign-key'],
        command: options['sign-command'],
        passphraseFile: options['passphrase-file'],
      },
      session,
    )
    const layer = { ...readLayerOptions(options), onWarning: (warning: string) => note(`warning: ${warning}`) }
    const settings: PackOptions = {
      ...readImageOptions(options),
      names: tag === undefined ? undefined : [tag],
      layer,
      have,
      alsoFor,
      update,
      verify,
      deep: !options['no-deep'],
      volumeSize: volumeSize === undefined ? undefined : parseVolumeSize(volumeSize),
      trust: await policyTrust(),
      release: releaseOf(options),
      signer,
      askForMedium: mediumAsker(session),
      recovery: recovery === undefined ? undefined : parsePercent(recovery),
      onNotice: notice,
      signal,
      onProgress,
    }
    const listed = await packByFile(options, { ...settings, images: image, output, tag }, session)
    if (listed === 'planned') return
    if (output === undefined && !options['dry-run'])
      throw new StowageError('INVALID_ARGUMENT', '-o/--output is missing', {
        hint: 'Name the bundle: -o DIRECTORY or -o FILE.tar; -o - is standard output.',
      })
    if (listed) {
      show(listed)
      return
    }
    if (image.length === 0)
      throw new StowageError('INVALID_ARGUMENT', 'no image was named', {
        hint: 'Name images, or give a list: --file images.yaml.',
      })
    if (output !== undefined && isLocation(output) && only !== undefined) {
      if (others.length > 0)
        throw new StowageError('INVALID_ARGUMENT', `${output} takes one image, not ${image.length}`)
      if (volumeSize !== undefined)
        throw new StowageError('INVALID_ARGUMENT', `${output} takes no --volume-size: only a bundle can be cut`)
      if (recovery !== undefined)
        throw new StowageError(
          'INVALID_ARGUMENT',
          `${output} is not a bundle: --recovery makes recovery data for bundles`,
        )
      const { runCopy } = await import('./copy.js')
      await runCopy({ source: only, destination: output, tag, verify, ...options }, session)
      return
    }
    if (options['dry-run'] || output === undefined) {
      const { planPack } = await import('../verbs/pack-plan.js')
      reportPlan(await planPack(image, output, settings), session, 'pack')
    } else show(await packBundle(image, output, settings))
  },
})

/** Throws INVALID_ARGUMENT. */
function releaseOf({
  serial,
  series,
}: {
  readonly serial: number | undefined
  readonly series: string | undefined
}): Release | undefined {
  if (serial !== undefined) return { serial, ...(series === undefined ? {} : { series }) }
  if (series === undefined) return undefined
  throw new StowageError('INVALID_ARGUMENT', '--series needs --serial', { hint: 'Give the number, too: --serial 42.' })
}

function document({
  path,
  form,
  volumes,
  compression,
  size,
  manifest,
  unchanged,
  deep,
  layers,
  undelivered,
  skipped,
  warnings,
  verified,
  recovery,
  signature,
}: PackResult): Readonly<Record<string, unknown>> {
  return {
    schema: 'stowage.pack/v1',
    path,
    form,
    ...(volumes ? { volumes: { ...volumes, verified: undefined } } : {}),
    ...(compression ? { compression } : {}),
    size,
    files: manifest.files.length + 2,
    unchanged,
    deep,
    layers,
    images: manifest.images,
    ...(manifest.assumes ? { assumes: manifest.assumes } : {}),
    ...(undelivered.length > 0 ? { undelivered } : {}),
    skipped,
    warnings,
    ...verifiedDocument(verified, verifyAgain(path)),
    ...(recovery ? { recovery } : {}),
    ...(signature ? { signature } : {}),
  }
}

function text({
  path,
  form,
  volumes,
  compression,
  size,
  manifest,
  unchanged,
  skipped,
  verified,
  recovery,
  signature,
}: PackResult): string {
  const { images, files, assumes } = manifest
  const packing = compression ? `, compressed with ${ARCHIVE_COMPRESSIONS[compression].title}` : ''
  const kind = volumes ? `${count(volumes.count, 'volume')}, a tar` : form === 'tar' ? 'one tar' : 'a directory'
  const shape = `${kind} of ${formatSize(size)}${packing}`
  const extraFiles = files.filter(file => file.path.startsWith('files/')).length
  const counts = [
    images.length > 0 || extraFiles === 0 ? count(images.length, 'image') : undefined,
    extraFiles > 0 ? count(extraFiles, 'file') : undefined,
  ]
  const what = counts.filter(Boolean).join(' and ')
  const where = path === STANDARD_STREAM ? 'standard output' : path
  const done = unchanged ? `Nothing new: ${path} already holds ${what}` : `Packed ${what} into ${where}`
  const signed = signature ? printable(`${signedText(signature)}\n`) : ''
  const protection = recovery ? printable(`${protectText(recovery)}\n`) : ''
  const sites = Math.max(0, ...(assumes?.sources ?? []).map(({ site = 0 }) => site))
  const who = sites > 1 ? `each of its ${sites} destinations` : 'its destination'
  const delta = assumes ? `${leavesOutText(assumes)}, which ${who} is to have\n` : ''
  return `${imageTable(images)}${skippedText(skipped)}${done} (${shape})
${delta}${protection}${signed}${verifiedText(verified, verifyAgain(path))}`
}

/** What a delta leaves out, as the beginning of a sentence. */
export function leavesOutText({ images, layers }: BundleAssumption): string {
  const size = formatSize(layers.reduce((sum, layer) => sum + layer.size, 0))
  const parts = [
    ...(images.length > 0 ? [count(images.length, 'image')] : []),
    ...(layers.length > 0 ? [`${count(layers.length, 'layer')} (${size})`] : []),
  ]
  return `A delta: it leaves out ${parts.join(' and ')}`
}

/** A table of the images in a bundle. */
export function imageTable(images: readonly BundleImage[]): string {
  const rows = images.flatMap(({ names, root, size, platforms }) => {
    const shown = platforms.map(({ platform }) => formatPlatform(platform)).join(', ') || '-'
    return [[familiarNames(names), shown, formatSize(size), shortDigest(root.digest)]]
  })
  return rows.length === 0 ? '' : table(['NAME', 'PLATFORM', 'SIZE', 'DIGEST'], rows)
}
