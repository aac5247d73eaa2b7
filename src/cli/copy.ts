/** `stowage copy`: copies an image from one location to another. */
import { DEFAULT_STORE, imageForms, sourceForms } from './locations.js'
import { command, required, value, type Values } from './command.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { StowageError } from '../errors.js'
import { destinationLocation, transportOf } from '../transport/location.js'
import type { Transport } from '../transport/transport.js'
import { copy as copyBetween, type CopyOptions, type CopyResult, planCopy } from '../verbs/copy.js'
import { familiarReference, formatReference } from '../oci/reference.js'
import { shortDigest } from './image-names.js'
import { IMAGE_OPTIONS, readImageOptions } from './image-options.js'
import { LAYER_OPTIONS, readLayerOptions } from './layer-options.js'
import type { Session } from './session.js'
import { reportPlan } from './plan-text.js'
import { VERIFY_OPTION, verifiedDocument, verifiedText } from './verify-option.js'
import { deliveredText } from './arrival-text.js'
import { LOG_OPTIONS } from './log-options.js'
import { lostText, printable, skippedText, table } from './render.js'
import { policyTrust } from './trust-options.js'
import { formatSize } from '../size-text.js'

const OPERANDS = {
  source: required(sourceForms(), 'source'),
  destination: required(`${imageForms()}; ${DEFAULT_STORE}`, 'destination'),
} as const

const OPTIONS = {
  tag: value('Name of the image at the destination', { alias: 't' }),
  verify: VERIFY_OPTION,
  ...LOG_OPTIONS,
  ...IMAGE_OPTIONS,
  ...LAYER_OPTIONS,
} as const

const COPY_AGAIN = 'load or copy it once before you rely on it.'

type CopyValues = Values<typeof OPERANDS> & Values<typeof OPTIONS>

export const copy = command({
  operands: OPERANDS,
  options: OPTIONS,
  examples: [
    ['copy docker-daemon:shop:2.3 docker://registry.example/team/shop:2.3', 'From the engine to a registry'],
    ['copy bundle:site-a:nanoserver:1 wim:NanoServer.wim', 'Turn the layers of an image back into a WIM'],
    ['copy wim:NanoServer.wim oci: --compression zstd', 'A WIM as an image in the default store'],
  ],
  run: runCopy,
})

/** Copies an image and reports the result. `pack -o LOCATION` uses it too. */
export async function runCopy(
  { source, destination, tag, verify, ...options }: CopyValues,
  session: Session,
): Promise<void> {
  const { signal, onProgress, report, note, notice } = session
  const layer = { ...readLayerOptions(options), onWarning: (warning: string) => note(`warning: ${warning}`) }
  const settings: CopyOptions = {
    ...readImageOptions(options),
    name: tag,
    verify,
    layer,
    wim: { threads: layer.threads },
    trust: await policyTrust(),
    onNotice: notice,
    signal,
    onProgress,
  }
  if (options['dry-run']) {
    reportPlan(await planCopy(source, destination, settings), session)
    return
  }
  session.record({ from: source, to: destination })
  const target = destinationLocation(destination)
  if (target.path === STANDARD_STREAM) claimStandardOutput(destination, transportOf(target), session)
  const copied = await copyBetween(source, destination, settings)
  session.record({ images: [{ names: copied.names.map(formatReference), id: copied.id }] })
  const shown = copied.names.map(familiarReference).join(', ') || copied.from
  for (const line of deliveredText(shown, copied)) note(`note: ${line}`)
  report(document(copied), text(copied))
}

/** Throws INVALID_ARGUMENT if the destination is a directory. */
function claimStandardOutput(destination: string, transport: Transport, session: Session): void {
  if (transport.destination?.streams) {
    session.claimStdout()
  } else if (transport.onDisk) {
    throw new StowageError('INVALID_ARGUMENT', `${destination} is a directory, which cannot be standard output`, {
      hint: `A directory called "-" is ${transport.scheme}:./-`,
    })
  }
}

function document({ names, verified, ...copied }: CopyResult): Readonly<Record<string, unknown>> {
  return {
    schema: 'stowage.copy/v1',
    ...copied,
    names: names.map(formatReference),
    ...verifiedDocument(verified, COPY_AGAIN),
  }
}

function text({ from, to, names, id, sent, skipped, platforms, leftOut, lost = [], verified }: CopyResult): string {
  return printable(
    table(
      ['IMAGE', names.map(familiarReference).join(', ') || '-'],
      [
        ['from', from],
        ['to', to],
        ['id', shortDigest(id)],
        ['platforms', platforms.join(', ') || '-'],
        ['sent', `${formatSize(sent)}, ${formatSize(skipped)} left out`],
      ],
    ) +
      skippedText(leftOut) +
      lostText(lost) +
      verifiedText(verified, COPY_AGAIN),
  )
}
