/** The rules for a Windows layer. docs/layer-check.md gives the source of each. */

interface Rule {
  /** An error means that a Windows host rejects the layer, or that a container made from it does not start. */
  readonly severity: 'error' | 'warning'
  /** What Windows does or requires, in one sentence. */
  readonly explanation: string
}

function error(explanation: string): Rule {
  return { severity: 'error', explanation }
}

function warning(explanation: string): Rule {
  return { severity: 'warning', explanation }
}

/** Codes are part of the API: they may be added, never renamed. */
export const LAYER_RULES = {
  // the layer as a whole
  NOT_WINDOWS: error(
    'The layer has no entry in Files or UtilityVM, and no Windows records: it is a layer for another system.',
  ),
  FILES_MISSING: error('A Windows layer keeps its files in the directory Files, which is missing.'),
  HIVE_MISSING: error(
    "A base layer must contain the five registry hives, from which the host creates the layer's Hives directory.",
  ),
  HIVE_INVALID: error('Windows cannot load a hive that does not begin with a valid base block.'),
  BCD_MISSING: error('A utility VM boots from its boot configuration data, a registry hive, which is missing.'),
  UTILITY_VM_MISSING: warning(
    'Without UtilityVM/Files the image runs with process isolation only, not with Hyper-V isolation.',
  ),
  GLOBAL_HEADER: warning('The Windows tools do not apply global PAX headers to entries; some treat them as files.'),

  // names and paths
  OUTSIDE: error(
    'The importer does not accept this path: a base layer holds Files, UtilityVM and UtilityVM/Files, and nothing else.',
  ),
  ROOT_SPELLING: error('The importer compares the names of the top-level directories case-sensitively.'),
  BOOT_SPELLING: warning(
    'The importer looks up these boot files case-sensitively, and does not keep the ones it does not find.',
  ),
  BAD_PATH: error('Paths must be relative, with one slash between names, and without "." and "..".'),
  INVALID_NAME: error('Windows does not allow this name.'),
  NOT_UTF8: error('Names and link targets in a layer must be UTF-8; Windows would show different ones.'),
  NAME_TOO_LONG: error('A name may have at most 255 characters (UTF-16), and a path at most 32767.'),
  TRAILING_SLASH: warning(
    'The importer compares names literally: with a trailing slash, streams are not matched to their directory, and UtilityVM/Files is not recognized.',
  ),
  UTILITY_VM_SLASH: error(
    'The importer does not recognize UtilityVM/Files with a trailing slash, and does not create the utility VM.',
  ),
  DUPLICATE: error('The importer creates each file once; a second entry with the same name fails.'),
  CASE_COLLISION: error('On Windows, names that differ only in case are the same name, and the second entry fails.'),

  // order
  PARENT_MISSING: error('The importer does not create missing directories: each needs an entry before its contents.'),
  PARENT_LATE: error('The importer works in the order of the tar: a directory must come before its contents.'),
  PARENT_NOT_DIRECTORY: error('The parent of this entry is not a directory.'),

  // links
  LINK_TARGET_MISSING: error(
    'A hard link must refer to a file in the layer, by its path from the root; the importer does not find it.',
  ),
  LINK_TARGET_LATE: error('The importer opens the file when it reads the link: the file must come first.'),
  LINK_TARGET_CASE: warning(
    'The case of the link target differs from that of the file; one of the two importers compares it case-sensitively.',
  ),
  LINK_TO_DIRECTORY: error('Windows has no hard links to directories.'),
  LINK_OF_SYSTEM_FILE: error(
    'The importer rejects a hard link here: this entry must be the file itself, and its other names the links.',
  ),
  EMPTY_TARGET: error('A symbolic link or junction needs a target.'),
  LONG_TARGET: error('A reparse point stores the target twice in 16 KiB, which limits it to about 4000 characters.'),

  // alternate data streams
  STREAM_ORPHAN: error(
    'A stream entry must directly follow its file, directory or symbolic link; anywhere else, a colon is not allowed in a name.',
  ),
  STREAM_SUFFIX: error(
    "Windows appends :$DATA to a stream's name itself; a name that already ends in it is not valid.",
  ),
  STREAM_NOT_FILE: error('A stream must be an entry of type file.'),
  STREAM_CIM: warning(
    "The importer for CimFS (containerd's cimfs) does not accept streams in this form; the ordinary importer does.",
  ),

  // deleted files
  TOMBSTONE: error('A base layer cannot delete anything: there is no layer below it.'),
  OPAQUE: warning('Windows does not support opaque directories: what lies below stays visible.'),

  // attributes, times, security
  NO_ATTRIBUTES: warning('Without MSWINDOWS.fileattr, a file gets no attributes.'),
  BAD_ATTRIBUTES: error('MSWINDOWS.fileattr must be a 32-bit decimal number; otherwise, the importer stops.'),
  DIRECTORY_ATTRIBUTE: error(
    'The importer recognizes directories by the attribute 0x10 in MSWINDOWS.fileattr, not by the entry type.',
  ),
  REPARSE_ATTRIBUTE: warning('The attribute 0x400 belongs to links: only Windows itself sets it.'),
  ENCRYPTED: warning('The content of an encrypted file is not stored in a form that Windows can open.'),
  OFFLINE: warning('The attribute says that the content is stored elsewhere, which is not possible in a container.'),
  MOUNT_POINT: warning(
    'MSWINDOWS.mountpoint turns a symbolic link into a junction; on any other entry it has no effect.',
  ),
  NO_SECURITY: warning('Without MSWINDOWS.rawsd, a file inherits the security descriptor of its directory.'),
  BAD_SECURITY: error(
    'MSWINDOWS.rawsd must be a self-relative security descriptor in base64; otherwise, Windows rejects it.',
  ),
  NO_TIME: warning(
    'Without atime, the last access time is meaningless; without LIBARCHIVE.creationtime, the last write time becomes the creation time.',
  ),
  BAD_TIME: error('Times in PAX records must be decimal seconds; otherwise, the reader in the Windows tools stops.'),
  TIME_RANGE: warning(
    'The Windows tools hold times as 64-bit nanoseconds, from 1677 to 2262; other times come out wrong.',
  ),
  BAD_ATTRIBUTE_VALUE: error(
    'An extended attribute must have a name of 1 to 255 bytes and a value of at most 65535 bytes, in base64.',
  ),
  EMPTY_ATTRIBUTE: warning(
    'An extended attribute without a value does not exist: Windows takes it as a request to delete it.',
  ),

  // types
  NOT_A_WINDOWS_FILE: warning('Windows has no devices or FIFOs, and creates an empty file instead.'),
} as const satisfies Readonly<Record<string, Rule>>

export type LayerRule = keyof typeof LAYER_RULES

/** Rules that apply only to base layers. */
export const BASE_RULES: ReadonlySet<LayerRule> = new Set([
  'HIVE_MISSING',
  'BCD_MISSING',
  'UTILITY_VM_MISSING',
  'TOMBSTONE',
  'LINK_TARGET_MISSING',
] as const)

/** Reports that an entry breaks the rule, or the layer does if `path` is undefined. */
export type Report = (rule: LayerRule, path: string | undefined, message: string) => void
