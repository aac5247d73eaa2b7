/** `stowage protect`: adds recovery data to a bundle. */
import { StowageError } from '../errors.js'
import { formatSize } from '../size-text.js'
import type { ProtectResult } from '../verbs/protect.js'
import { command, required, value } from './command.js'
import { bundlePath } from './locations.js'
import { count, printable } from './render.js'

export const protect = command({
  operands: {
    bundle: required('A bundle: a directory or a file', 'path'),
  },
  options: {
    recovery: value('Recovery blocks for every hundred blocks of the bundle: as much of it may be damaged', {
      default: '5%',
      takes: ['5%', '10%'],
      valueName: 'PERCENT',
    }),
  },
  examples: [
    ['protect /media/stick/site-a', 'Writes recovery.par2 and recovery.vol….par2 into the bundle'],
    ['protect site-a.tar --recovery 10%', 'Writes site-a.tar.par2 and site-a.tar.vol….par2 beside the tar'],
  ],
  run: async ({ bundle, recovery }, { signal, onProgress, report }) => {
    const percent = parsePercent(recovery)
    const path = await bundlePath(bundle, location => `protect adds recovery data to bundles, not to ${location}.`)
    const { protectBundle } = await import('../verbs/protect.js')
    const result = await protectBundle(path, { percent, signal, onProgress })
    report({ schema: 'stowage.protect/v1', ...result }, printable(`${protectText(result)}\n`))
  },
})

/** `5%` or `5`. Throws INVALID_ARGUMENT. */
export function parsePercent(text: string): number {
  const [, digits] = /^(\d+(?:\.\d+)?)%?$/.exec(text) ?? []
  const percent = Number(digits)
  if (digits !== undefined && percent > 0 && percent <= 100) return percent
  throw new StowageError('INVALID_ARGUMENT', `--recovery: expected a percentage but found "${text}"`, {
    hint: 'Give a percentage above 0 and up to 100, such as 5%.',
  })
}

/** What was done, in a line: "Protected x.tar with 25 recovery blocks for 500 blocks of 4 kB (112 kB, x.tar.par2)". */
export function protectText(result: ProtectResult): string {
  const { path, unchanged, replaced, recoveryBlocks, blocks, blockSize, size, index } = result
  const amount = `${count(recoveryBlocks, 'recovery block')} for ${count(blocks, 'block')} of ${formatSize(blockSize)}`
  const data = `${amount} (${formatSize(size)}, ${index})`
  if (unchanged) return `Nothing to do: ${path} has ${data}`
  const old = replaced ? '; the recovery data that was there did not fit and was replaced' : ''
  return `Protected ${path} with ${data}${old}`
}
