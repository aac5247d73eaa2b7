/** `stowage wim apply`: extracts an image, or all images, to a directory or an NTFS volume. */
import { StowageError } from '../../errors.js'
import type { MissingFile } from '../../wim/missing.js'
import type { ExtractOptions } from '../../wim/options.js'
import { extractFromPipe } from '../../wim/pipe.js'
import { chooseWimImage, openWimArchive } from './archive.js'
import { printable } from '../render.js'
import { wimCommand } from './command.js'
import { EXTRACTION, extractOptions, isVolume, RPFIX, rpfix } from './options.js'
import { watch } from './progress.js'
import { leftOutText, skipMissing, skippedDocument } from './skip-missing.js'

const STDIN = 0

export const apply = wimCommand({
  name: 'apply',
  operands: 'WIMFILE [IMAGE] TARGET',
  options: { ...EXTRACTION, ...RPFIX },
  examples: [
    ['apply tree.wim 1 there', 'Image 1, into the directory there'],
    ['apply tree.wim all there', 'Every image, each into a directory named after it'],
  ],
  run: async (values, [path = '', ...rest], session) => {
    const [target = '', selector] = [rest.at(-1), rest.length > 1 ? rest[0] : undefined]
    const options: ExtractOptions = { ...extractOptions(values), rpfix: rpfix(values), ntfs: await isVolume(target) }
    const job = watch(session, target, { verbose: values.verbose })
    let image: number | string = selector ?? 1
    let skipped: readonly MissingFile[] = []
    if (path === '-') {
      if (values['skip-missing']) {
        throw new StowageError('INVALID_ARGUMENT', '--skip-missing cannot be used with a pipe', {
          hint: 'What is missing is known at the end of a pipe. Apply the WIM from its file.',
        })
      }
      await extractFromPipe({ fd: STDIN }, selector, target, { ...options, ...job })
    } else {
      const wim = await openWimArchive(path, values, session)
      const chosen = await chooseWimImage(wim, selector)
      skipped = await skipMissing(wim, chosen, values['skip-missing'], session)
      await wim.extract(chosen, target, { ...options, ...job })
      image = chosen
    }
    const what = image === 'all' ? 'all images' : `image ${image}`
    session.report(
      { schema: 'stowage.wim-apply/v1', path, image, target, ...skippedDocument(skipped) },
      printable(`${path}: ${what} extracted to ${target}${leftOutText(skipped)}\n`),
    )
  },
})
