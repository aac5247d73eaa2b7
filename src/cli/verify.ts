/** `stowage verify`: checks a bundle and lists its defects. */
import { BUNDLE_FORMS, bundlePath } from './locations.js'
import { StowageError } from '../errors.js'
import { command, flag, oneOrMore, values } from './command.js'
import { verifyBundle } from '../bundle/verify.js'
import type { CheckedVolumes } from '../bundle/verify-volumes.js'
import type { RepairOutcome, RepairReport } from '../verbs/repair.js'
import type { VerifyAgainstReport } from '../verbs/verify-against.js'
import type { Trust } from '../signature/trust.js'
import { readTrustOptions, signatureText, TRUST_OPTIONS } from './trust-options.js'
import { EXIT_INTEGRITY, EXIT_MEDIUM, EXIT_SIGNATURE, exitCodeOf } from './exit-code.js'
import { HOST_OPTION, readRegistryOptions, REGISTRY_OPTIONS } from './image-options.js'
import { LOG_OPTIONS } from './log-options.js'
import { imageTable, leavesOutText } from './pack.js'
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
    repair: flag('Repair what is damaged from the recovery data of the bundle, and verify again'),
    against: values(
      'Check that what a delta leaves out is here: an inventory, a bundle, or the destination to load it into; may be repeated',
      { takes: 'load destination' },
    ),
    ...TRUST_OPTIONS,
    ...LOG_OPTIONS,
    host: HOST_OPTION,
    ...REGISTRY_OPTIONS,
    'no-deep': flag('Do not decompress layers to compare them with what the images say: faster, and proves less'),
  },
  examples: [
    ['verify /media/stick/site-a', 'Exits with 0 if the bundle is intact, with 4 if not'],
    ['verify site-a.tar --json', 'The findings as JSON'],
    ['verify site-a.tar --key plant.pub', 'Also checks that it is signed by this key; exits with 9 if not'],
    ['verify /media/stick1 /media/stick2', 'A bundle in volumes on two sticks'],
    ['verify april-delta --against docker-daemon:', 'A delta, and whether the engine here has what it leaves out'],
    ['verify --repair site-a.tar', 'Repairs it with site-a.tar.par2, which "stowage protect" made'],
  ],
  run: async ({ bundle, alone, repair, against, host, 'no-deep': shallow, ...options }, session) => {
    const { trust } = await readTrustOptions(options)
    if (against.length > 0 && (alone || repair))
      throw new StowageError(
        'INVALID_ARGUMENT',
        `--against and --${alone ? 'alone' : 'repair'} cannot be used together`,
      )
    const { signal, onProgress, report, note, notice } = session
    const [path = '', ...more] = await Promise.all(bundle.map(async each => await bundlePath(each, checkedBy)))
    session.record({ bundle: { path } })
    const askForVolume = alone ? undefined : volumeAsker(session)
    const settings = { deep: !shallow, trust, more, alone, askForVolume, onNotice: notice, signal, onProgress }
    const result: RepairReport & Partial<VerifyAgainstReport> = repair
      ? await (await import('../verbs/repair.js')).repairBundle(path, { deep: !shallow, trust, signal, onProgress })
      : against.length > 0
        ? await (
            await import('../verbs/verify-against.js')
          ).verifyAgainst(path, against, { ...settings, host, ...readRegistryOptions(options) })
        : await verifyBundle(path, settings)
    const { digest, images, signatures, findings } = result
    session.record({
      bundle: { path, digest, signedBy: signatures.signedBy },
      images: images.map(({ names, root }) => ({ names, id: root.digest })),
      failure: findings[0] && { ...findings[0], message: `${findings[0].path}: ${findings[0].message}` },
    })
    report({ schema: 'stowage.verify/v1', ...result }, text(result, trust))
    if (result.ok) return
    if (result.findings.some(({ code }) => isRefusal(code))) {
      process.exitCode = EXIT_SIGNATURE
      return
    }
    if (result.findings.every(({ code }) => code === 'BASE_MISSING')) {
      process.exitCode = exitCodeOf('BASE_MISSING')
      return
    }
    if (!repair) await hint(path, note)
    const { isUnread, UNREAD_HINT } = await import('../verbs/protect.js')
    process.exitCode = isUnread(result) ? EXIT_MEDIUM : EXIT_INTEGRITY
    if (isUnread(result)) note(`hint: ${UNREAD_HINT}`)
  },
})

/** What checks images that are not in a bundle. */
function checkedBy(location: string): string {
  return `verify checks bundles. To check every blob of ${location}, pack it: stowage pack ${location} -o BUNDLE.`
}

/** Whether the defect is that nobody who is trusted has signed it, or that it is older than it may be. */
function isRefusal(code: string): boolean {
  return code === 'SIGNATURE_MISSING' || code === 'SIGNATURE_INVALID' || code === 'ROLLBACK'
}

function text(report: RepairReport & Partial<VerifyAgainstReport>, trust: Trust | undefined): string {
  const { path, ok, files, size, archiveSize, images, deep, layers, findings, stopped, repair, volumes } = report
  const lines = findings.map(defect => `${defect.code}  ${printable(defect.path)}: ${printable(defect.message)}\n`)
  const total = archiveSize === undefined ? formatSize(size) : `one tar of ${formatSize(archiveSize)}`
  const read = `${count(files, 'file')}, ${total}`
  const end = stopped ? ', and the check ended there' : ''
  const refused = findings.some(({ code }) => isRefusal(code)) // which says why
  const signed = refused ? '' : printable(signatureText(report.signatures, trust))
  const repaired = repair ? printable(repairText(repair)) : ''
  if (volumes) return `${lines.join('')}${volumesText(path, volumes, size)}\n`
  if (!ok)
    return `${lines.join('')}${path}: ${count(findings.length, 'defect')} found (${read} read)${end}\n${signed}${repaired}`
  return `${imageTable(images)}${unproved(deep, layers)}${signed}${repaired}${deltaText(report)}${path}: OK (${read}, all as listed)\n`
}

/** What a delta leaves out, and whether that was found. */
function deltaText({ path, assumes, against }: RepairReport & Partial<VerifyAgainstReport>): string {
  if (!assumes) return ''
  const what = leavesOutText(assumes)
  return against
    ? `${what}, which ${printable(against.join(', '))} has\n`
    : `${what}; to check that a place has them: stowage verify ${path} --against PLACE\n`
}

/** What was done with the recovery data, a line for each file. */
function repairText({ index, outcome, damagedBlocks, recoveryBlocks, shortBlocks, files }: RepairOutcome): string {
  switch (outcome) {
    case 'missing':
      return `Not repaired: there is no recovery data (${index})\n`
    case 'unneeded':
      return `Not repaired: what the recovery data covers is as it was (${index})\n`
    case 'short': {
      const [damaged, there] = [count(damagedBlocks, 'block'), count(recoveryBlocks, 'recovery block')]
      const are = (n: number) => (n === 1 ? 'is' : 'are')
      return `Not repaired: ${damaged} ${are(damagedBlocks)} damaged, ${there} ${are(recoveryBlocks)} there: ${shortBlocks} more ${are(shortBlocks)} needed\n`
    }
    case 'repaired':
      return files
        .map(({ name, damaged, blocks, found, size }) => {
          const was = found === undefined ? ', which was missing' : found === size ? '' : `, which had ${found} bytes`
          return `Repaired ${name}${was}: ${damaged} of ${count(blocks, 'block')}\n`
        })
        .join('')
  }
}

/** Says so if a damaged bundle has recovery data. */
async function hint(path: string, note: (line: string) => void): Promise<void> {
  const [{ hasRecovery }, { repairHint }] = await Promise.all([
    import('../verbs/repair.js'),
    import('../verbs/protect.js'),
  ])
  if (await hasRecovery(path)) note(`hint: ${repairHint(path)}`)
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

/** What the check does not prove, if there is any. */
function unproved(deep: boolean, layers: RepairReport['layers']): string {
  if (!deep) return 'Not proved without decompressing: that the layers are what the configs of their images say.\n'
  return layers.unproved.map(({ digest, reason }) => `Not proved: ${digest}: ${printable(reason)}\n`).join('')
}
