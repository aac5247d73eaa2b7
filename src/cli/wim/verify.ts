/** `stowage wim verify`: checks every blob, image and integrity table of a WIM. */
import type { WimVerification } from '../../wim/verify.js'
import { EXIT_INTEGRITY } from '../exit-code.js'
import { count, printable } from '../render.js'
import { formatSize } from '../../size-text.js'
import { openWimArchive } from './archive.js'
import { flag } from '../command.js'
import { wimCommand } from './command.js'
import { REF } from './options.js'
import { watch } from './progress.js'

export const verify = wimCommand({
  name: 'verify',
  operands: 'WIMFILE',
  options: { ...REF, nocheck: flag('Ignore integrity tables', { alias: 'no-check' }) },
  run: async (values, [path = ''], session) => {
    const wim = await openWimArchive(path, values, session)
    const result = await wim.verify({ integrity: !values.nocheck, ...watch(session, path) })
    const ok = result.findings.length === 0
    session.report({ schema: 'stowage.wim-verify/v1', path, ok, ...result }, text(path, result))
    if (!ok) process.exitCode = EXIT_INTEGRITY
  },
})

function text(path: string, { images, blobs, size, findings }: WimVerification): string {
  const read = `${count(images, 'image')}, ${count(blobs, 'blob')}, ${formatSize(size)}`
  if (findings.length === 0) return printable(`${path}: OK (${read})\n`)
  const lines = findings.map(({ type, message }) => `${type}: ${message}\n`)
  return printable(`${lines.join('')}${path}: ${count(findings.length, 'defect')} found (${read} read)\n`)
}
