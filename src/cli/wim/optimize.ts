/** `stowage wim optimize`: rewrites a WIM without unused space, or with another compression. */
import { formatSize } from '../../size-text.js'
import { openWimArchive } from './archive.js'
import { flag } from '../command.js'
import { wimCommand } from './command.js'
import {
  COMPRESSION,
  compressionRequest,
  INTEGRITY,
  NO_CHECK,
  PIPABLE,
  THREADS,
  UNSAFE_COMPACT,
  writeOptions,
} from './options.js'
import { watch } from './progress.js'

export const optimize = wimCommand({
  name: 'optimize',
  operands: 'WIMFILE',
  options: {
    ...INTEGRITY,
    ...NO_CHECK,
    ...COMPRESSION,
    ...THREADS,
    ...PIPABLE,
    ...UNSAFE_COMPACT,
    recompress: flag('Recompress everything; implied by --compress and --solid-compress'),
  },
  run: async (values, [path = ''], session) => {
    const { output, write } = compressionRequest(values)
    await using wim = await openWimArchive(path, { check: values.check, writeAccess: true }, session)
    const before = wim.info.size
    // Since 1.14, wimlib-imagex uses LZMS for the whole of a solid WIM, as other programs do
    await wim.setOutput({ ...output, compression: output.compression ?? (write.solid ? 'lzms' : undefined) })
    const options = writeOptions(values)
    await wim.overwrite({
      ...options,
      ...write,
      rebuild: options.unsafeCompact ? undefined : true,
      recompress: output.compression === undefined && output.solidCompression === undefined ? options.recompress : true,
      ...watch(session, path),
    })
    const after = wim.info.size
    const text = `${path}: ${formatSize(before)} before, ${formatSize(after)} now\n`
    session.report({ schema: 'stowage.wim-optimize/v1', path, sizeBefore: before, size: after }, text)
  },
})
