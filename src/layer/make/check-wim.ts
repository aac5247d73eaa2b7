/**
 * Checks before a layer is made from a WIM whether a Windows host will accept it, with the findings of {@link
 * checkLayer}.
 */
import { abortError } from '../../errors.js'
import { BLOCK } from '../../tar/header.js'
import { checkedThreads } from '../../wim/flags.js'
import type { WimFile } from '../../wim/wim-file.js'
import { HIVE_HEAD } from '../../windows/registry-hive.js'
import { checkTree, isHive } from '../read/check-tree.js'
import { gatherFindings, type LayerFinding } from '../read/check.js'
import { asRead } from '../read/tar-entry.js'
import { type LayerFromWimOptions, planFromWim } from './from-wim.js'
import type { PlannedEntry } from './windows-layer.js'

const NOTHING = Buffer.alloc(0)
/** Entries between two checks of the abort signal. */
const SLICE = 1000

/**
 * The findings for a base layer, errors first; empty if no rule is broken. Reads only metadata and the beginnings of
 * hives. Throws IMAGE_NOT_FOUND, INVALID_ARGUMENT, LAYER_UNSUPPORTED, WIM_CORRUPT, ABORTED.
 */
export async function checkWimLayer(
  wim: WimFile,
  options: Omit<LayerFromWimOptions, 'unixData' | 'onSkipped' | 'onWarning'> = {},
): Promise<readonly LayerFinding[]> {
  const { signal, threads } = options
  const plan = await planFromWim(wim, options)
  const { report, findings } = gatherFindings(true)
  const tree = checkTree(true, report.add)
  let offset = 0
  let count = 0
  for (const planned of plan.entries()) {
    count += 1
    if (count % SLICE === 0) await new Promise(resolve => setImmediate(resolve))
    if (signal?.aborted) throw abortError(signal.reason, signal)
    const { name, flag } = planned.entry
    const head = flag === '0' && isHive(name) ? await headOf(planned) : NOTHING
    tree.add(asRead(planned.entry, head, offset))
    offset += BLOCK
  }
  tree.end()
  return findings()

  async function headOf({ content }: PlannedEntry): Promise<Buffer> {
    if (content?.blob === undefined) return NOTHING
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const { bytes } of wim.readBlobs([content.blob], { signal, threads: checkedThreads(threads) })) {
      pieces.push(bytes)
      size += bytes.length
      if (size >= HIVE_HEAD) break
    }
    return Buffer.concat(pieces).subarray(0, HIVE_HEAD)
  }
}
