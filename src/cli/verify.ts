/** `stowage verify`: checks a bundle and lists its defects. */
import { BUNDLE_FORMS, bundlePath } from './locations.js'
import { command, flag, required } from './command.js'
import { verifyBundle, type VerifyReport } from '../bundle/verify.js'
import { EXIT_INTEGRITY, EXIT_MEDIUM } from './exit-code.js'
import { imageTable } from './pack.js'
import { count, printable } from './render.js'
import { formatSize } from '../size-text.js'

export const verify = command({
  operands: {
    bundle: required(`A bundle: ${BUNDLE_FORMS}`, 'path'),
  },
  options: {
    'no-deep': flag('Do not decompress layers to compare them with what the images say: faster, and proves less'),
  },
  examples: [
    ['verify /media/stick/site-a', 'Exits with 0 if the bundle is intact, with 4 if not'],
    ['verify site-a.tar --json', 'The findings as JSON'],
  ],
  run: async ({ bundle, 'no-deep': shallow }, { signal, onProgress, report }) => {
    const path = await bundlePath(bundle, checkedBy)
    const result = await verifyBundle(path, { deep: !shallow, signal, onProgress })
    report({ schema: 'stowage.verify/v1', ...result }, text(result))
    const onlyMedium = result.findings.every(({ code }) => code === 'MEDIUM_FAILED')
    if (!result.ok) process.exitCode = onlyMedium ? EXIT_MEDIUM : EXIT_INTEGRITY
  },
})

/** What checks images that are not in a bundle. */
function checkedBy(location: string): string {
  return `verify checks bundles. To check every blob of ${location}, pack it: stowage pack ${location} -o BUNDLE.`
}

function text({ path, ok, files, size, archiveSize, images, deep, layers, findings, stopped }: VerifyReport): string {
  const lines = findings.map(defect => `${defect.code}  ${printable(defect.path)}: ${printable(defect.message)}\n`)
  const total = archiveSize === undefined ? formatSize(size) : `one tar of ${formatSize(archiveSize)}`
  const read = `${count(files, 'file')}, ${total}`
  const end = stopped ? ', and the check ended there' : ''
  if (!ok) return `${lines.join('')}${path}: ${count(findings.length, 'defect')} found (${read} read)${end}\n`
  return `${imageTable(images)}${unproved(deep, layers)}${path}: OK (${read}, all as listed)\n`
}

/** What the check does not prove, if there is any. */
function unproved(deep: boolean, layers: VerifyReport['layers']): string {
  if (!deep) return 'Not proved without decompressing: that the layers are what the configs of their images say.\n'
  return layers.unproved.map(({ digest, reason }) => `Not proved: ${digest}: ${printable(reason)}\n`).join('')
}
