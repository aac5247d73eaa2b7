/** `stowage verify`: checks a bundle and lists its defects. */
import { BUNDLE_FORMS } from './locations.js'
import { command, required } from './command.js'
import { verifyBundle, type VerifyReport } from '../bundle/verify.js'
import { EXIT_INTEGRITY, EXIT_MEDIUM } from './exit-code.js'
import { imageTable } from './pack.js'
import { count, formatSize, printable } from './render.js'

export const verify = command({
  operands: {
    bundle: required(`A bundle: ${BUNDLE_FORMS}`, 'path'),
  },
  examples: [
    ['verify /media/stick/site-a', 'Exits with 0 if the bundle is intact, with 4 if not'],
    ['verify site-a.tar --json', 'The findings as JSON'],
  ],
  run: async ({ bundle }, { signal, onProgress, report }) => {
    const result = await verifyBundle(bundle, { signal, onProgress })
    report({ schema: 'stowage.verify/v1', ...result }, text(result))
    const onlyMedium = result.findings.every(({ code }) => code === 'MEDIUM_FAILED')
    if (!result.ok) process.exitCode = onlyMedium ? EXIT_MEDIUM : EXIT_INTEGRITY
  },
})

function text({ path, ok, files, size, images, findings }: VerifyReport): string {
  const lines = findings.map(defect => `${defect.code}  ${printable(defect.path)}: ${printable(defect.message)}\n`)
  const read = `${count(files, 'file')}, ${formatSize(size)}`
  if (!ok) return `${lines.join('')}${path}: ${count(findings.length, 'defect')} found (${read} read)\n`
  return `${imageTable(images)}${path}: OK (${read}, all as listed)\n`
}
