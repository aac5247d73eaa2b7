/** `stowage verify`: checks a bundle and lists its defects. */
import { BUNDLE_FORMS, bundlePath } from './locations.js'
import { command, flag, oneOrMore } from './command.js'
import { verifyBundle, type VerifyReport } from '../bundle/verify.js'
import type { CheckedVolumes } from '../bundle/verify-volumes.js'
import { EXIT_INTEGRITY, EXIT_MEDIUM } from './exit-code.js'
import { imageTable } from './pack.js'
import { count, printable } from './render.js'
import { formatSize } from '../size-text.js'
import { numbersText } from '../volumes/find.js'
import { volumeAsker } from './volume-options.js'

export const verify = command({
  operands: {
    bundle: oneOrMore(`A bundle: ${BUNDLE_FORMS}; or its volumes, in any number of places`, 'path'),
  },
  options: {
    alone: flag('Check only the volumes that are here, each by what is written beside it'),
  },
  examples: [
    ['verify /media/stick/site-a', 'Exits with 0 if the bundle is intact, with 4 if not'],
    ['verify site-a.tar --json', 'The findings as JSON'],
    ['verify /media/stick1 /media/stick2', 'A bundle in volumes on two sticks'],
  ],
  run: async ({ bundle, alone }, session) => {
    const { signal, onProgress, report, notice } = session
    const [path = '', ...more] = await Promise.all(bundle.map(async each => await bundlePath(each, checkedBy)))
    const askForVolume = alone ? undefined : volumeAsker(session)
    const result = await verifyBundle(path, { more, alone, askForVolume, onNotice: notice, signal, onProgress })
    report({ schema: 'stowage.verify/v1', ...result }, text(result))
    const onlyMedium = result.findings.every(({ code }) => code === 'MEDIUM_FAILED')
    if (!result.ok) process.exitCode = onlyMedium ? EXIT_MEDIUM : EXIT_INTEGRITY
  },
})

/** What checks images that are not in a bundle. */
function checkedBy(location: string): string {
  return `verify checks bundles. To check every blob of ${location}, pack it: stowage pack ${location} -o BUNDLE.`
}

function text({ path, ok, files, size, archiveSize, images, findings, volumes }: VerifyReport): string {
  const lines = findings.map(defect => `${defect.code}  ${printable(defect.path)}: ${printable(defect.message)}\n`)
  const total = archiveSize === undefined ? formatSize(size) : `one tar of ${formatSize(archiveSize)}`
  const read = `${count(files, 'file')}, ${total}`
  if (volumes) return `${lines.join('')}${volumesText(path, volumes, size)}\n`
  if (!ok) return `${lines.join('')}${path}: ${count(findings.length, 'defect')} found (${read} read)\n`
  return `${imageTable(images)}${path}: OK (${read}, all as listed)\n`
}

/** What is known of volumes that were checked alone, or only looked at. */
function volumesText(path: string, { tar, count: all, whole, missing }: CheckedVolumes, read: number): string {
  if (read === 0)
    return `${tar}: not complete, so nothing was read; to check what is here: stowage verify --alone ${path}`
  const of = all === undefined ? '' : ` of ${all}`
  const named = `volume${whole.length === 1 ? '' : 's'} ${numbersText(whole)}${of} ${whole.length === 1 ? 'is' : 'are'} whole`
  const elsewhere = missing.length > 0 ? `; ${numbersText(missing)} not here` : ''
  return `${tar}: ${whole.length > 0 ? named : 'no volume is known to be whole'}${elsewhere} (${formatSize(read)} read)`
}
