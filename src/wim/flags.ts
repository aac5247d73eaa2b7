/** Converts options to the flags and numbers of libwim, which are used nowhere else. */
import * as os from 'node:os'
import { StowageError } from '../errors.js'
import type { NativeArguments } from './addon.js'
import { compressionNumber, type WimCompressionType } from './compression.js'
import type {
  AddImageOptions,
  DeleteOptions,
  EntriesOptions,
  ExportOptions,
  ExtractPathsOptions,
  ImageNumber,
  InfoChange,
  JoinOptions,
  MountOptions,
  OpenOptions,
  OutputOptions,
  OverwriteOptions,
  ReferenceOptions,
  SplitOptions,
  UnmountOptions,
  UpdateCommand,
  UpdateOptions,
  WimlibSettings,
} from './options.js'

/** libwim's flags by the name of the option, `name:value`, or `!name` if the option is false. */
type Flags = Readonly<Record<string, number>>

// wimlib.h, WIMLIB_*_FLAG_*: the numbers are part of its ABI
const OPEN: Flags = { checkIntegrity: 1, errorIfSplit: 2, writeAccess: 4 }
const REFERENCE: Flags = { glob: 1, errorIfNoMatch: 2 }
const WRITE: Flags = {
  integrityTable: 1,
  '!integrityTable': 2,
  pipable: 4,
  '!pipable': 8,
  recompress: 0x10,
  fsync: 0x20,
  rebuild: 0x40,
  softDelete: 0x80,
  ignoreReadonly: 0x100,
  skipExternalWims: 0x200,
  retainGuid: 0x800,
  solid: 0x1000,
  sendDoneWithFile: 0x2000,
  '!solidSort': 0x4000,
  unsafeCompact: 0x8000,
}
const ADD: Flags = {
  ntfs: 1,
  dereference: 2,
  verbose: 4,
  boot: 8,
  unixData: 0x10,
  'acls:none': 0x20,
  'acls:strict': 0x40,
  excludeVerbose: 0x80,
  rpfix: 0x100,
  '!rpfix': 0x200,
  noUnsupportedExclude: 0x400,
  winconfig: 0x800,
  wimboot: 0x1000,
  noReplace: 0x2000,
  exclude: 0x4000,
  snapshot: 0x8000,
  filePathsUnneeded: 0x10000,
}
const EXTRACT: Flags = {
  ntfs: 1,
  recoverData: 2,
  unixData: 0x20,
  'acls:none': 0x40,
  'acls:strict': 0x80,
  rpfix: 0x100,
  '!rpfix': 0x200,
  replaceInvalidNames: 0x800,
  allCaseConflicts: 0x1000,
  strictTimestamps: 0x2000,
  strictShortNames: 0x4000,
  strictSymlinks: 0x8000,
  glob: 0x40000,
  strictGlob: 0x80000,
  noAttributes: 0x100000,
  '!preserveDirStructure': 0x200000,
  wimboot: 0x400000,
  'compact:xpress4k': 0x1000000,
  'compact:xpress8k': 0x2000000,
  'compact:xpress16k': 0x4000000,
  'compact:lzx': 0x8000000,
}
const EXPORT: Flags = { boot: 1, noNames: 2, noDescriptions: 4, gift: 8, wimboot: 0x10 }
const DELETE: Flags = { force: 1, recursive: 2 }
const UPDATE: Flags = { sendProgress: 1 }
const ENTRIES: Flags = { recursive: 1, children: 2, resourcesNeeded: 4 }
const MOUNT: Flags = {
  readWrite: 1,
  debug: 2,
  'streamsInterface:none': 4,
  'streamsInterface:xattr': 8,
  'streamsInterface:windows': 0x10,
  unixData: 0x20,
  allowOther: 0x40,
}
const UNMOUNT: Flags = { integrityTable: 1, commit: 2, rebuild: 4, recompress: 8, force: 0x10, newImage: 0x20 }
const INFO: Flags = { readonly: 1, '!readonly': 1, guid: 2, bootIndex: 4, rpfix: 8, '!rpfix': 8 }
const INIT: Flags = {
  noPrivileges: 2,
  strictCapturePrivileges: 4,
  strictApplyPrivileges: 8,
  '!ignoreCase': 0x10,
  ignoreCase: 0x20,
}

/** The sum of the flags for `options`. An undefined option adds none. Throws INVALID_ARGUMENT for an unknown value. */
function flagsOf(flags: Flags, options: object): number {
  let sum = 0
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue
    const hasValues = typeof value === 'string' && Object.keys(flags).some(key => key.startsWith(`${name}:`))
    if (hasValues && flags[`${name}:${value}`] === undefined) {
      throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(value)} is not a value of ${name}`)
    }
    sum |= flags[hasValues ? `${name}:${value}` : value === false ? `!${name}` : name] ?? 0
  }
  return sum
}

export const openFlags = (options: OpenOptions): number => flagsOf(OPEN, options)
export const referenceFlags = (options: ReferenceOptions): number => flagsOf(REFERENCE, options)
export const writeFlags = (options: OverwriteOptions | SplitOptions | JoinOptions): number => flagsOf(WRITE, options)
/** libwim accepts either a configuration file or the rules of Windows: a file takes precedence. */
export const addFlags = (options: AddImageOptions): number =>
  flagsOf(ADD, options.config === undefined ? options : { ...options, winconfig: undefined })
export const extractFlags = (options: ExtractPathsOptions): number => flagsOf(EXTRACT, options)
export const exportFlags = (options: ExportOptions): number => flagsOf(EXPORT, options)
export const deleteFlags = (options: DeleteOptions): number => flagsOf(DELETE, options)
export const updateFlags = (options: UpdateOptions): number => flagsOf(UPDATE, options)
export const entriesFlags = (options: EntriesOptions): number => flagsOf(ENTRIES, { recursive: true, ...options })
export const mountFlags = (options: MountOptions): number => flagsOf(MOUNT, options)
export const unmountFlags = (options: UnmountOptions): number => flagsOf(UNMOUNT, options)
export const initFlags = (settings: WimlibSettings): number => flagsOf(INIT, settings)

/** libwim's number of an image; -1 for all. Throws INVALID_ARGUMENT. */
export function imageNumber(image: ImageNumber): number {
  if (image === 'all') return -1
  if (Number.isInteger(image) && image >= 1 && image <= 0x7fffffff) return image
  throw new StowageError('INVALID_ARGUMENT', `expected the number of an image, from 1, but found ${image}`)
}

/** The number of threads, by default one per processor. Throws INVALID_ARGUMENT. */
export function checkedThreads(threads: number = os.availableParallelism()): number {
  if (Number.isInteger(threads) && threads >= 1 && threads <= 256) return threads
  throw new StowageError('INVALID_ARGUMENT', `expected 1 to 256 threads but found ${threads}`)
}

/** Update commands in the form that the addon takes. */
export function packCommands(commands: readonly UpdateCommand[], { exclude }: UpdateOptions): NativeArguments[] {
  return commands.map(command => {
    const { type } = command
    if (type === 'rename') return { type, source: command.source, target: command.target }
    if (type === 'delete') return { type, path: command.path, flags: deleteFlags(command) }
    const { source, target, config } = command
    return { type, source, target, config, flags: addFlags({ ...command, exclude }) }
  })
}

/** An {@link InfoChange} in the form that the addon takes. Throws INVALID_ARGUMENT for an invalid GUID. */
export function packInfo(change: InfoChange): NativeArguments {
  const { bootIndex = 0, guid, readonly = false, rpfix = false } = change
  if (guid !== undefined && !/^[0-9a-f]{32}$/i.test(guid)) {
    throw new StowageError('INVALID_ARGUMENT', `expected a GUID of 32 hex digits but found ${JSON.stringify(guid)}`)
  }
  const bytes = guid === undefined ? undefined : Buffer.from(guid, 'hex')
  return { flags: flagsOf(INFO, change), bootIndex, readonly: readonly ? 1 : 0, rpfix: rpfix ? 1 : 0, guid: bytes }
}

export function packOutput({
  compression,
  chunkSize,
  solidCompression,
  solidChunkSize,
}: OutputOptions): NativeArguments {
  const number = (name: WimCompressionType | undefined): number | undefined =>
    name === undefined ? undefined : compressionNumber(name)
  return { compression: number(compression), chunkSize, solidCompression: number(solidCompression), solidChunkSize }
}
