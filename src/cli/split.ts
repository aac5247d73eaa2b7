/** `stowage split`: cuts a bundle into volumes. */
import { splitBundle } from '../verbs/volumes.js'
import type { WrittenVolumes } from '../volumes/write-volumes.js'
import { command, required, value } from './command.js'
import { bundlePath } from './locations.js'
import { count } from './render.js'
import { formatSize } from '../size-text.js'
import { VERIFY_OPTION, verifiedDocument, verifiedText, verifyAgain } from './verify-option.js'
import { mediumAsker, parseVolumeSize, VOLUME_SIZE } from './volume-options.js'

export const split = command({
  operands: {
    bundle: required('A bundle: a directory, a .tar, or volumes to cut in another way', 'path'),
  },
  options: {
    output: value('The tar to cut, which is not written as a whole: DIR/x.tar becomes DIR/x.tar.001 …', {
      alias: 'o',
      required: true,
      takes: 'path',
    }),
    verify: VERIFY_OPTION,
    'volume-size': value(VOLUME_SIZE.describe, { ...VOLUME_SIZE.settings, required: true }),
  },
  examples: [
    ['split site-a.tar -o /media/stick/site-a.tar --volume-size fat32', 'For a stick with FAT32'],
    ['split site-a -o /media/stick/site-a.tar --volume-size 4GiB', 'A bundle that is a directory, on several sticks'],
  ],
  run: async ({ bundle, output, verify, 'volume-size': size }, session) => {
    const { signal, onProgress, notice, report } = session
    const path = await bundlePath(
      bundle,
      location => `Pack it: stowage pack ${location} -o ${output} --volume-size ${size}`,
    )
    const result = await splitBundle(path, output, {
      volumeSize: parseVolumeSize(size),
      verify,
      askForMedium: mediumAsker(session),
      onNotice: notice,
      signal,
      onProgress,
    })
    const { verified, ...written } = result
    report(
      { schema: 'stowage.split/v1', path, output, ...written, ...verifiedDocument(verified, verifyAgain(output)) },
      `${text(path, output, result)}${verifiedText(verified, verifyAgain(output))}`,
    )
  },
})

function text(path: string, output: string, { count: volumes, total, unchanged }: WrittenVolumes): string {
  if (unchanged) return `Nothing new: ${output} is already in ${count(volumes, 'volume')} (${formatSize(total)})\n`
  return `Cut ${path} into ${count(volumes, 'volume')} of ${output} (${formatSize(total)})\n`
}
