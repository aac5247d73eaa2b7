/** What a Windows layer must be, rule by rule: docs/layer-check.md says where each comes from. */

interface Rule {
  /** An error: a Windows host refuses the layer, or what it makes of it does not start. */
  readonly severity: 'error' | 'warning'
  /** What Windows does, one sentence. */
  readonly explanation: string
}

function error(explanation: string): Rule {
  return { severity: 'error', explanation }
}

function warning(explanation: string): Rule {
  return { severity: 'warning', explanation }
}

/** Codes are API: they are added, never renamed. */
export const LAYER_RULES = {
  // the layer as a whole
  NOT_WINDOWS: error(
    'No entry stands in Files or UtilityVM, and none has Windows records: this is the layer of another system.',
  ),
  FILES_MISSING: error('A Windows layer has its tree in the directory Files, which is not there.'),
  HIVE_MISSING: error(
    "A base layer must bring the five hives of the registry; the host makes the layer's Hives of them.",
  ),
  HIVE_INVALID: error('Windows cannot load a hive that does not begin with a valid base block.'),
  BCD_MISSING: error('A utility VM starts from its boot configuration data, a registry hive, which is not there.'),
  UTILITY_VM_MISSING: warning(
    'Without UtilityVM/Files the image runs with process isolation only, not with Hyper-V isolation.',
  ),
  GLOBAL_HEADER: warning(
    "Windows' tools do not apply global PAX headers to entries; to some they are files of their own.",
  ),

  // names and places
  OUTSIDE: error(
    'The importer knows no place for it: a base layer has Files, UtilityVM and UtilityVM/Files, and nothing beside.',
  ),
  ROOT_SPELLING: error('The importer compares the names of the top directories case and all.'),
  BOOT_SPELLING: warning(
    'The importer looks for these boot files case and all, and does not keep what it does not find.',
  ),
  BAD_PATH: error('Paths are relative, with one slash between names, and without "." and "..".'),
  INVALID_NAME: error('Windows has no such name.'),
  NOT_UTF8: error('Names and link targets in a layer are UTF-8; Windows would show others.'),
  NAME_TOO_LONG: error('A name has at most 255 characters (UTF-16), and a path 32767.'),
  TRAILING_SLASH: warning(
    'The importer compares names as they stand: streams do not find their directory, nor Windows UtilityVM/Files.',
  ),
  UTILITY_VM_SLASH: error(
    'The importer does not recognise UtilityVM/Files with a slash at its end, and the utility VM is never made.',
  ),
  DUPLICATE: error('The importer creates each file once; the second entry of a name fails.'),
  CASE_COLLISION: error('To Windows names that differ in case alone are one name, and the second entry fails.'),

  // order
  PARENT_MISSING: error('The importer makes no directories by itself: each needs an entry before what stands in it.'),
  PARENT_LATE: error('The importer works in the order of the tar: a directory must come before what stands in it.'),
  PARENT_NOT_DIRECTORY: error('What it stands in is not a directory.'),

  // links
  LINK_TARGET_MISSING: error('A hard link names a file of the layer, from its top; the importer does not find it.'),
  LINK_TARGET_LATE: error('The importer opens the file when it meets the link: the file must come first.'),
  LINK_TARGET_CASE: warning(
    "The link's target is spelled another way than the file; one of the two importers compares case and all.",
  ),
  LINK_TO_DIRECTORY: error('Windows has no hard links to directories.'),
  LINK_OF_SYSTEM_FILE: error(
    'The importer refuses a hard link in this place: the file itself must be here, and its other names the links.',
  ),
  EMPTY_TARGET: error('A symbolic link or junction needs a target.'),
  LONG_TARGET: error('A reparse point holds the target twice in 16 KiB, so at most some 4000 characters.'),

  // alternate data streams
  STREAM_ORPHAN: error(
    'The entry of a stream follows its file, directory or symbolic link at once; elsewhere a colon is not a character of a name.',
  ),
  STREAM_SUFFIX: error("Windows puts :$DATA at the end of a stream's name itself; twice, it is not a name."),
  STREAM_NOT_FILE: error('A stream is an entry of the type of a file.'),
  STREAM_CIM: warning(
    "The importer for CimFS (containerd's cimfs) takes no streams in this form; the ordinary one does.",
  ),

  // deleted files
  TOMBSTONE: error('A base layer deletes nothing: there is nothing below it.'),
  OPAQUE: warning('Windows does not know the mark of an opaque directory, and what lies below stays visible.'),

  // attributes, times, security
  NO_ATTRIBUTES: warning('Without MSWINDOWS.fileattr a file gets no attributes.'),
  BAD_ATTRIBUTES: error('MSWINDOWS.fileattr is a decimal number of 32 bits, or the importer stops.'),
  DIRECTORY_ATTRIBUTE: error(
    'The importer tells directories by the attribute 0x10 in MSWINDOWS.fileattr, not by the type of the entry.',
  ),
  REPARSE_ATTRIBUTE: warning('The attribute 0x400 is for links: Windows sets it itself, and no other way.'),
  ENCRYPTED: warning('The content of an encrypted file is not carried in a form that Windows could open.'),
  OFFLINE: warning('The attribute says that the content is elsewhere, which it is not for a container.'),
  MOUNT_POINT: warning('MSWINDOWS.mountpoint makes a junction of a symbolic link; on anything else it says nothing.'),
  NO_SECURITY: warning('Without MSWINDOWS.rawsd a file gets the security descriptor that its directory hands down.'),
  BAD_SECURITY: error('MSWINDOWS.rawsd is the base64 of a self-relative security descriptor, or Windows refuses it.'),
  NO_TIME: warning(
    'Without atime the last access becomes a time of no meaning; without LIBARCHIVE.creationtime, the last write is the creation.',
  ),
  BAD_TIME: error("Times in PAX records are decimal seconds, or the reader of Windows' tools stops."),
  TIME_RANGE: warning("Windows' tools hold times as nanoseconds in 64 bits, from 1677 to 2262; others come out wrong."),
  BAD_ATTRIBUTE_VALUE: error(
    'An extended attribute has a name of 1 to 255 bytes and a value of at most 65535, in base64.',
  ),
  EMPTY_ATTRIBUTE: warning('An extended attribute without a value is none: to Windows it means to delete it.'),

  // types
  NOT_A_WINDOWS_FILE: warning('Windows has no devices and no fifos, and makes an empty file of it.'),
} as const satisfies Readonly<Record<string, Rule>>

export type LayerRule = keyof typeof LAYER_RULES

/** Rules of base layers alone. */
export const BASE_RULES: ReadonlySet<LayerRule> = new Set([
  'HIVE_MISSING',
  'BCD_MISSING',
  'UTILITY_VM_MISSING',
  'TOMBSTONE',
  'LINK_TARGET_MISSING',
] as const)

/** Reports that an entry, or the layer where `path` is undefined, is not as the rule has it. */
export type Report = (rule: LayerRule, path: string | undefined, message: string) => void
