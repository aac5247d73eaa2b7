/** `stowage verify`: checks a bundle and lists its defects. */
import { BUNDLE_FORMS, bundlePath } from './locations.js'
import { command, required } from './command.js'
import { verifyBundle, type VerifyReport } from '../bundle/verify.js'
import { EXIT_INTEGRITY, EXIT_MEDIUM } from './exit-code.js'
import { imageTable } from './pack.js'
import { count, printable } from './render.js'
import { formatSize } from '../size-text.js'

export const verify = command({
  operands: {
    bundle: required(`A bundle: ${BUNDLE_FORMS}`, 'path'),
  },
  examples: [
    ['verify /media/stick/site-a', 'Exits with 0 if the bundle is intact, with 4 if not'],
    ['verify site-a.tar --json', 'The findings as JSON'],
  ],
  run: async ({ bundle }, { signal, onProgress, report }) => {
    const path = await bundlePath(bundle, checkedBy)
    const result = await verifyBundle(path, { signal, onProgress })
    report({ schema: 'stowage.verify/v1', ...result }, text(result))
    const onlyMedium = result.findings.every(({ code }) => code === 'MEDIUM_FAILED')
    if (!result.ok) process.exitCode = onlyMedium ? EXIT_MEDIUM : EXIT_INTEGRITY
  },
})

/** What checks images that are not in a bundle. */
function checkedBy(location: string): string {
  return `verify checks bundles. To check every blob of ${location}, pack it: stowage pack ${location} -o BUNDLE.`
}

function text({ path, ok, files, size, archiveSize, images, findings, stopped }: VerifyReport): string {
  const lines = findings.map(defect => `${defect.code}  ${printable(defect.path)}: ${printable(defect.message)}\n`)
  const total = archiveSize === undefined ? formatSize(size) : `one tar of ${formatSize(archiveSize)}`
  const read = `${count(files, 'file')}, ${total}`
  const end = stopped ? ', and the check ended there' : ''
  if (!ok) return `${lines.join('')}${path}: ${count(findings.length, 'defect')} found (${read} read)${end}\n`
  return `${imageTable(images)}${path}: OK (${read}, all as listed)\n`
}
