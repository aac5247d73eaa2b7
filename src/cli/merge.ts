/** `stowage merge`: makes a whole bundle from a delta and what it leaves out. */
import { StowageError } from '../errors.js'
import { formatSize } from '../size-text.js'
import { mergeBundles, type MergeResult } from '../verbs/merge.js'
import { command, oneOrMore, value } from './command.js'
import { bundlePath } from './locations.js'
import { LOG_OPTIONS, packedFacts } from './log-options.js'
import { imageTable } from './pack.js'
import { count } from './render.js'
import { policyTrust } from './trust-options.js'
import { VERIFY_OPTION, verifiedDocument, verifiedText, verifyAgain } from './verify-option.js'

export const merge = command({
  operands: {
    bundle: oneOrMore('Bundles that have what the delta leaves out, then the delta', 'path'),
  },
  options: {
    output: value('The whole bundle: a directory or a tar, as for "pack"', {
      alias: 'o',
      required: true,
      takes: 'path',
    }),
    verify: VERIFY_OPTION,
    ...LOG_OPTIONS,
  },
  examples: [
    ['merge site-a-march site-a-april-delta -o site-a-april', 'What packing without --have would have written'],
  ],
  run: async ({ bundle, output, verify }, { signal, onProgress, report, notice, record }) => {
    record({ bundle: { path: output } })
    const paths = await Promise.all(
      bundle.map(async each => await bundlePath(each, location => `Pack it first: stowage pack ${location} -o BUNDLE`)),
    )
    const [delta, ...bases] = paths.reverse()
    if (delta === undefined || bases.length === 0)
      throw new StowageError('INVALID_ARGUMENT', 'merge takes at least two bundles', {
        hint: 'Name what has the rest, then the delta: stowage merge BASE DELTA -o OUTPUT.',
      })
    const result = await mergeBundles(bases.reverse(), delta, output, {
      verify,
      trust: await policyTrust(),
      signal,
      onProgress,
      onNotice: notice,
    })
    const { manifest, verified, ...rest } = result
    record(packedFacts(output, manifest))
    const again = verifiedDocument(verified, verifyAgain(output))
    report({ schema: 'stowage.merge/v1', ...rest, images: manifest.images, ...again }, text(result))
  },
})

function text({ path, form, size, manifest, unchanged, verified }: MergeResult): string {
  const what = count(manifest.images.length, 'image')
  const shape = `${form === 'tar' ? 'one tar' : 'a directory'} of ${formatSize(size)}`
  const done = unchanged ? `Nothing new: ${path} already holds ${what}` : `Merged ${what} into ${path}`
  return `${imageTable(manifest.images)}${done} (${shape})\nIt is a new bundle: signatures of its parts do not cover it.\n${verifiedText(verified, verifyAgain(path))}`
}
