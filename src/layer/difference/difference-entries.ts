/** The entries of a layer that is based on others. Source: hcsshim's documented behavior. */
import type { TarEntry } from '../../tar/header.js'
import { FILE_ATTRIBUTE_DIRECTORY } from '../../windows/file-attributes.js'
import { paxTime, ustarTime } from '../../windows/filetime.js'
import type { PlannedEntry } from '../make/windows-layer.js'
import type { TreeDifference } from './compare-trees.js'

/**
 * The entries, with a whiteout for each deleted name directly after its directory: the host deletes in UtilityVM/Files
 * at once, so the deletion must come before a new file of the same name. The directory `Hives` comes first, with `time`.
 * Every layer that a host exports has it.
 */
export function* differenceEntries(
  entries: Iterable<PlannedEntry>,
  { deleted }: TreeDifference,
  time: bigint,
): Iterable<PlannedEntry> {
  yield { entry: hivesDirectory(time), content: undefined }
  for (const planned of entries) {
    yield planned
    const { name, flag } = planned.entry
    for (const gone of flag === '5' ? (deleted.get(name) ?? []) : []) {
      yield { entry: { name: `${name}/.wh.${gone}`, flag: '0', mode: 0o644, size: 0, mtime: 0 }, content: undefined }
    }
  }
}

function hivesDirectory(time: bigint): TarEntry {
  const text = paxTime(time)
  const records = {
    'MSWINDOWS.fileattr': String(FILE_ATTRIBUTE_DIRECTORY),
    'LIBARCHIVE.creationtime': text,
    atime: text,
  }
  return { name: 'Hives', flag: '5', mode: 0o755, size: 0, mtime: ustarTime(time), records }
}
