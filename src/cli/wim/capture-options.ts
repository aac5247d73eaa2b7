/** The options of `stowage wim capture` and `append`. */
import { flag, value, values } from '../command.js'
import type { WimValues } from './command.js'
import {
  ACLS,
  COMPRESSION,
  INTEGRITY,
  NO_CHECK,
  PIPABLE,
  REBUILD,
  RPFIX,
  THREADS,
  UNIX_DATA,
  UNSAFE_COMPACT,
  VERBOSE,
} from './options.js'

export const CAPTURE_OPTIONS = {
  boot: flag('Make this the bootable image'),
  ...INTEGRITY,
  ...NO_CHECK,
  ...COMPRESSION,
  ...THREADS,
  config: value('A capture configuration file: [ExclusionList] and the like', { takes: 'path' }),
  flags: value('Edition of the image (FLAGS in the XML)'),
  'image-property': values('NAME=VALUE in the XML of the image, such as WINDOWS/VERSION/BUILD=20348; may be repeated'),
  'source-list': flag(
    'SOURCE is a list, or - for stdin: each line is a file or directory and, if different, its path in the image',
  ),
  dereference: flag('Store what symbolic links point to'),
  ...UNIX_DATA,
  ...ACLS,
  ...RPFIX,
  ...VERBOSE,
  ...PIPABLE,
  ...REBUILD,
  ...UNSAFE_COMPACT,
  'update-of': value('Do not read files that have not changed since that image; -1 is the last one', {
    takes: 'path',
    valueName: '[WIMFILE:]IMAGE',
  }),
  'delta-from': values('Omit blobs that this WIM holds; may be repeated', { takes: 'path' }),
  wimboot: flag('Make the image ready for WIMBoot'),
  snapshot: flag('Windows: capture from a snapshot of the volume'),
} as const

export type CaptureValues = WimValues<typeof CAPTURE_OPTIONS>
