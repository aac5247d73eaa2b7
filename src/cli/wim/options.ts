/** Options that several commands of `stowage wim` share, and their conversion to options of the library. */
import { stat } from 'node:fs/promises'
import { StowageError } from '../../errors.js'
import type { ExtractOptions, OutputOptions, OverwriteOptions } from '../../wim/options.js'
import { flag, value, values } from '../command.js'
import { parseCompression, parseSize, parseThreads, parseWord } from './values.js'
import type { WimCompressionType } from '../../wim/compression.js'

export const REF = {
  ref: values('Other WIM files with blobs of this one: a path, or a quoted pattern; may be repeated', {
    takes: 'path',
  }),
} as const

export const INTEGRITY = {
  check: flag('Check the WIM against its integrity table, if it has one, and write a table'),
  'include-integrity': flag('Write an integrity table, without checking first'),
} as const

export const NO_CHECK = {
  nocheck: flag('Write no integrity table', { alias: 'no-check' }),
} as const

export const COMPRESSION = {
  compress: value(
    'Compression: none, xpress (fast), lzx (maximum) or lzms (recovery); 20 is fast, 50 normal, 100 slow',
    {
      takes: ['none', 'xpress', 'lzx', 'lzms'],
      valueName: 'TYPE[:LEVEL]',
    },
  ),
  'chunk-size': value('Compression chunk size, such as 32K or 1M'),
  solid: flag('Compress files together: smaller, but slower, and slow for random access'),
  'solid-compress': value('Compression of solid resources (default lzms)', {
    takes: ['xpress', 'lzx', 'lzms'],
    valueName: 'TYPE[:LEVEL]',
  }),
  'solid-chunk-size': value('Compression chunk size of solid resources'),
  'no-solid-sort': flag('Keep the order of files in solid resources instead of sorting them by type'),
} as const

export const THREADS = { threads: value('Threads for compression (default, and 0: one per processor)') } as const

export const PIPABLE = {
  pipable: flag("Write a WIM that can be applied from a pipe (Microsoft's programs cannot read it)"),
  'not-pipable': flag('Write an ordinary WIM even if the original is pipable'),
} as const

export const REBUILD = { rebuild: flag('Rewrite the whole WIM instead of appending to it') } as const

export const UNSAFE_COMPACT = {
  'unsafe-compact': flag('Compact the file in place: fast, but the WIM is destroyed if it is interrupted'),
} as const

export const ACLS = {
  'no-acls': flag('Ignore security descriptors', { alias: 'noacls' }),
  'strict-acls': flag('Fail if a security descriptor cannot be kept in full'),
} as const

export const RPFIX = {
  rpfix: flag('Adjust absolute symbolic links to the root of the tree'),
  norpfix: flag('Leave absolute symbolic links as they are'),
} as const

export const UNIX_DATA = {
  'unix-data': flag('Include POSIX owner, group, mode, special files and extended attributes'),
} as const

export const VERBOSE = { verbose: flag('Name each file on stderr') } as const

export const EXTRACTION = {
  ...REF,
  ...UNIX_DATA,
  ...ACLS,
  ...VERBOSE,
  check: flag('Check the WIM against its integrity table first, if it has one'),
  'no-attributes': flag('Do not restore Windows attributes'),
  'include-invalid-names': flag('Extract files whose names are invalid on this system under changed names'),
  wimboot: flag('Windows: extract files as pointers into the WIM'),
  compact: value('Windows: compress the files on the volume: xpress4k, xpress8k, xpress16k or lzx', {
    takes: ['xpress4k', 'xpress8k', 'xpress16k', 'lzx'],
  }),
  'recover-data': flag('Extract what is readable of damaged files instead of failing'),
  'skip-missing': flag('Leave out files whose content is missing, as in a delta WIM without its base'),
} as const

type Given<Names extends string> = { readonly [Name in Names]?: unknown }

/** The library option `integrityTable`. Throws INVALID_ARGUMENT if a table is both requested and ruled out. */
export function integrityTable(given: Given<'check' | 'include-integrity' | 'nocheck'>): boolean | undefined {
  const wanted = given['check'] === true || given['include-integrity'] === true
  if (wanted && given['nocheck'] === true)
    throw contradiction(given['check'] === true ? 'check' : 'include-integrity', 'nocheck')
  return wanted ? true : given['nocheck'] === true ? false : undefined
}

/** The library option `pipable`. */
export function pipable(given: Given<'pipable' | 'not-pipable'>): boolean | undefined {
  return either(given, 'pipable', 'not-pipable')
}

/** The library option `rpfix`. */
export function rpfix(given: Given<'rpfix' | 'norpfix'>): boolean | undefined {
  return either(given, 'rpfix', 'norpfix')
}

export function acls(given: Given<'no-acls' | 'strict-acls'>): 'none' | 'strict' | undefined {
  const none = either(given, 'no-acls', 'strict-acls')
  return none === undefined ? undefined : none ? 'none' : 'strict'
}

/** True for the first option, false for the second, undefined for neither. Throws INVALID_ARGUMENT for both. */
function either<One extends string, Other extends string>(
  given: Readonly<Partial<Record<One | Other, unknown>>>,
  one: One,
  other: Other,
): boolean | undefined {
  if (given[one] === true && given[other] === true) throw contradiction(one, other)
  return given[one] === true ? true : given[other] === true ? false : undefined
}

function contradiction(one: string, other: string): StowageError {
  return new StowageError('INVALID_ARGUMENT', `--${one} and --${other} cannot be used together`)
}

/** The values of --compress and the related options. */
export interface CompressionRequest {
  readonly output: OutputOptions
  /** Options for the write itself. */
  readonly write: Pick<OverwriteOptions, 'level' | 'solid' | 'solidSort'>
}

/** A write has one level: for a solid WIM that of the solid resources, which hold the content of all files. */
export function compressionRequest(given: {
  readonly compress?: string | undefined
  readonly 'chunk-size'?: string | undefined
  readonly solid?: boolean | undefined
  readonly 'solid-compress'?: string | undefined
  readonly 'solid-chunk-size'?: string | undefined
  readonly 'no-solid-sort'?: boolean | undefined
}): CompressionRequest {
  const plain = given.compress === undefined ? undefined : parseCompression(given.compress, 'compress')
  const solidWords = given['solid-compress']
  const solid = solidWords === undefined ? undefined : parseCompression(solidWords, 'solid-compress')
  if (solid?.compression === 'none') {
    throw new StowageError('INVALID_ARGUMENT', '--solid-compress: a solid resource is always compressed')
  }
  const [chunkSize, solidChunkSize] = [given['chunk-size'], given['solid-chunk-size']]
  return {
    output: {
      compression: plain?.compression,
      chunkSize: chunkSize === undefined ? undefined : parseSize(chunkSize, 'chunk-size'),
      solidCompression: solid?.compression, // 'none' has thrown
      solidChunkSize: solidChunkSize === undefined ? undefined : parseSize(solidChunkSize, 'solid-chunk-size'),
    },
    write: {
      level: given.solid === true ? (solid?.level ?? plain?.level) : plain?.level,
      solid: given.solid === true ? true : undefined,
      solidSort: given['no-solid-sort'] === true ? false : undefined,
    },
  }
}

/** The output options with the compression that wimlib-imagex would choose for a new WIM if none is requested. */
export function defaultOutput(
  { output, write: { solid } }: CompressionRequest,
  wimboot: boolean,
  other: WimCompressionType,
): OutputOptions & { readonly compression: WimCompressionType } {
  if (output.compression !== undefined) return { ...output, compression: output.compression }
  if (wimboot) return { ...output, compression: 'xpress', chunkSize: output.chunkSize ?? 4096 }
  return { ...output, compression: solid === true ? 'lzms' : other }
}

/** The library options for writing a new or existing WIM. */
export function writeOptions(
  given: Given<
    'check' | 'include-integrity' | 'nocheck' | 'pipable' | 'not-pipable' | 'rebuild' | 'recompress' | 'unsafe-compact'
  > & { readonly threads?: string | undefined },
): OverwriteOptions {
  return {
    integrityTable: integrityTable(given),
    pipable: pipable(given),
    threads: parseThreads(given.threads),
    rebuild: ifSet(given['rebuild']),
    recompress: ifSet(given['recompress']),
    unsafeCompact: ifSet(given['unsafe-compact']),
  }
}

/** True or undefined: to the library, false would mean the opposite and undefined means the default. */
export function ifSet(given: unknown): true | undefined {
  return given === true ? true : undefined
}

/** The library options for extracting an image or a part of it. */
export function extractOptions(
  given: Given<
    'unix-data' | 'no-acls' | 'strict-acls' | 'no-attributes' | 'include-invalid-names' | 'wimboot' | 'recover-data'
  > & { readonly compact?: string | undefined },
): ExtractOptions {
  const invalidNames = ifSet(given['include-invalid-names'])
  return {
    unixData: ifSet(given['unix-data']),
    acls: acls(given),
    noAttributes: ifSet(given['no-attributes']),
    replaceInvalidNames: invalidNames,
    allCaseConflicts: invalidNames,
    wimboot: ifSet(given['wimboot']),
    compact: parseWord(given.compact, ['xpress4k', 'xpress8k', 'xpress16k', 'lzx'], 'compact'),
    recoverData: ifSet(given['recover-data']),
  }
}

/** Whether libwim's NTFS mode is to be used: `path` is a block device, or a file that holds a volume. */
export async function isVolume(path: string): Promise<true | undefined> {
  if (process.platform === 'win32') return undefined
  const found = await stat(path).catch(() => undefined)
  return found?.isBlockDevice() || found?.isFile() ? true : undefined
}
