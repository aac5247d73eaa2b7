/** The rules for a Windows layer. docs/layer-check.md gives the source of each. */

/**
 * What follows from a broken rule. `refused`: a Windows host refuses the layer, or a container made from it does not
 * start. `cim`: the ordinary importer takes the layer, but the one for CimFS refuses it. `doubtful`: a host takes it, but
 * something in it is lost or becomes something else, or the public rules do not say.
 */
export type LayerGrade = 'refused' | 'cim' | 'doubtful'

interface Rule {
  readonly grade: LayerGrade
  /** An error if the grade is `refused`. */
  readonly severity: 'error' | 'warning'
  /** What Windows does or requires, in one sentence. */
  readonly explanation: string
}

function refused(explanation: string): Rule {
  return { grade: 'refused', severity: 'error', explanation }
}

function cim(explanation: string): Rule {
  return { grade: 'cim', severity: 'warning', explanation }
}

function doubtful(explanation: string): Rule {
  return { grade: 'doubtful', severity: 'warning', explanation }
}

/** Codes are part of the API: they may be added, never renamed. */
export const LAYER_RULES = {
  // the layer as a whole
  NOT_WINDOWS: refused(
    'The layer has no entry in Files or UtilityVM, and no Windows records: it is a layer for another system.',
  ),
  FILES_MISSING: refused('A Windows layer keeps its files in the directory Files, which is missing.'),
  HIVE_MISSING: refused(
    "A base layer must contain the five registry hives, from which the host creates the layer's Hives directory.",
  ),
  HIVE_INVALID: refused('Windows cannot load a hive that does not begin with a valid base block.'),
  HIVE_NOT_FILE: refused('The host copies and edits the hive, which must be a file itself.'),
  BCD_MISSING: refused('A utility VM boots from its boot configuration data, a registry hive, which is missing.'),
  UTILITY_VM_MISSING: doubtful(
    'Without UtilityVM/Files the image runs with process isolation only, not with Hyper-V isolation.',
  ),
  UTILITY_VM_LINK: refused(
    'The host makes the utility VM in UtilityVM/Files, which must be a directory, not a link to one.',
  ),
  UTILITY_VM_HIVE: cim(
    'Before version 0.13 of hcsshim, the CimFS importer reads the build number of the utility VM from its SOFTWARE hive, and refuses a layer with UtilityVM but without this hive.',
  ),
  GLOBAL_HEADER: doubtful('The Windows tools do not apply global PAX headers to entries; some treat them as files.'),

  // names and paths
  OUTSIDE: doubtful(
    'A base layer holds Files, UtilityVM and UtilityVM/Files, and nothing else; the importer takes other files, but Windows does not use them.',
  ),
  UTILITY_VM_OUTSIDE: refused('The importer of an upper layer takes nothing in UtilityVM but Files.'),
  UTILITY_VM_RECORDS: refused(
    'In an upper layer, the importer copies UtilityVM from the layer below, and has nowhere to write what comes with this entry.',
  ),
  ROOT_SPELLING: doubtful(
    'The importer compares the names of the top-level directories case-sensitively, and does not recognize this one.',
  ),
  BOOT_SPELLING: doubtful(
    'The importer looks up these boot files case-sensitively, and does not keep the ones it does not find.',
  ),
  BAD_PATH: refused('A path must be relative and stay in the layer; ".." and "." are no names to Windows.'),
  PATH_FORM: cim(
    'The ordinary importer simplifies a path with ".", ".." or an empty name; the one for CimFS takes it literally, and finds no such directory.',
  ),
  BACKSLASH: doubtful('To Windows, a backslash separates names as a slash does.'),
  INVALID_NAME: refused('Windows does not allow this name.'),
  NOT_UTF8: doubtful('Names and link targets in a layer must be UTF-8; Windows would show different ones.'),
  NAME_TOO_LONG: refused('A name may have at most 255 characters (UTF-16), and a path at most 32766.'),
  TRAILING_SLASH: cim(
    'With a trailing slash, the CimFS importer does not find the directory again, and no importer matches streams to it.',
  ),
  UTILITY_VM_SLASH: cim(
    'No importer recognizes UtilityVM/Files with a trailing slash: the ordinary one takes the layer without a utility VM, the one for CimFS refuses it.',
  ),
  DUPLICATE: refused('The importer creates each file once; a second entry with the same name fails.'),
  CASE_COLLISION: refused('On Windows, names that differ only in case are the same name, and the second entry fails.'),
  DUPLICATE_REPLACED: cim(
    'In an upper layer, hard links and the files of the utility VM replace what is there; the CimFS importer refuses the second entry.',
  ),

  // order
  PARENT_MISSING: refused('The importer does not create missing directories: each needs an entry before its contents.'),
  PARENT_LATE: refused('The importer works in the order of the tar: a directory must come before its contents.'),
  PARENT_NOT_DIRECTORY: refused('The parent of this entry is not a directory.'),

  // links
  LINK_TARGET_MISSING: refused(
    'A hard link must refer to a file in the layer, by its path from the root; the importer does not find it.',
  ),
  LINK_TARGET_LATE: refused('The importer opens the file when it reads the link: the file must come first.'),
  LINK_TARGET_CASE: cim(
    'The case of the link target differs from that of the file; the CimFS importer compares it case-sensitively.',
  ),
  LINK_TARGET_SPELLING: refused(
    'The importer of an upper layer compares link targets case-sensitively, and looks in the layers below for one that it has not seen.',
  ),
  LINK_TARGET_FORM: cim(
    'The ordinary importer simplifies a link target with backslashes, "." or empty names; the one for CimFS takes it literally, and finds no such file.',
  ),
  LINK_TO_DIRECTORY: refused('Windows has no hard links to directories.'),
  LINK_TO_SYMLINK: refused('The importer opens the file to link to it, but never through a symbolic link or junction.'),
  TOO_MANY_LINKS: refused('On NTFS, a file has at most 1024 names.'),
  LINK_OUTSIDE: refused(
    'The importer of an upper layer takes hard links only in Files and UtilityVM/Files, and to files there.',
  ),
  LINK_OF_SYSTEM_FILE: cim(
    'The CimFS importer refuses a hard link here: this entry must be the file itself, and its other names the links.',
  ),
  EMPTY_TARGET: refused('A symbolic link or junction needs a target.'),
  LONG_TARGET: refused('A reparse point stores the target twice in 16 KiB, which limits it to about 4090 characters.'),
  JUNCTION_NOT_DIRECTORY: refused(
    'Only a directory can be a junction; the importer makes one of an entry with the attribute 0x10 in MSWINDOWS.fileattr.',
  ),

  // alternate data streams
  STREAM_ORPHAN: refused(
    'A stream entry must directly follow its file, directory or symbolic link; anywhere else, a colon is not allowed in a name.',
  ),
  STREAM_SUFFIX: refused(
    "Windows appends :$DATA to a stream's name itself; a name that already ends in it is not valid.",
  ),
  STREAM_NOT_FILE: refused('A stream must be an entry of type file.'),
  STREAM_TWICE: doubtful('The second stream of the same name, in any case, replaces the first.'),
  STREAM_CIM: cim(
    "The importer for CimFS (containerd's cimfs) does not accept streams in this form; the ordinary importer does.",
  ),

  // deleted files
  TOMBSTONE: refused('A base layer cannot delete anything: there is no layer below it.'),
  TOMBSTONE_PLACE: refused('Only what is in Files and UtilityVM/Files can be deleted from the layers below.'),
  DELETED_HERE: doubtful(
    'The importer deletes after it adds: what the same layer both adds and deletes is gone, in any order.',
  ),
  DELETED_NEEDED: refused(
    'The importer deletes after it adds, and then does not find this entry, whose times or links it still has to make.',
  ),
  OPAQUE: doubtful('Windows does not support opaque directories: what lies below stays visible.'),
  OPAQUE_UTILITY_VM: refused(
    'In UtilityVM/Files, the importer deletes at once: it takes the marker for the name of a file, which it does not find.',
  ),

  // attributes, times, security
  NO_ATTRIBUTES: doubtful('Without MSWINDOWS.fileattr, a file gets no attributes.'),
  BAD_ATTRIBUTES: refused('MSWINDOWS.fileattr must be a 32-bit decimal number; otherwise, the importer stops.'),
  DIRECTORY_ATTRIBUTE: refused(
    'The importer recognizes directories by the attribute 0x10 in MSWINDOWS.fileattr, and cannot give one the content of a file.',
  ),
  DIRECTORY_AS_FILE: doubtful(
    'Without the attribute 0x10 in MSWINDOWS.fileattr, the importer makes an empty file, not a directory.',
  ),
  TEMPORARY_DIRECTORY: refused('Windows does not set the attribute 0x100 (temporary) on a directory.'),
  REPARSE_ATTRIBUTE: doubtful('The attribute 0x400 belongs to links: only Windows itself sets it.'),
  ENCRYPTED: doubtful('The content of an encrypted file is not stored in a form that Windows can open.'),
  OFFLINE: doubtful('The attribute says that the content is stored elsewhere, which is not possible in a container.'),
  MOUNT_POINT: doubtful(
    'MSWINDOWS.mountpoint turns a symbolic link into a junction; on any other entry it has no effect.',
  ),
  NO_SECURITY: doubtful('Without MSWINDOWS.rawsd, a file inherits the security descriptor of its directory.'),
  BAD_SECURITY: refused(
    'MSWINDOWS.rawsd must be a self-relative security descriptor in base64; otherwise, Windows rejects it.',
  ),
  BAD_SDDL: refused('MSWINDOWS.sd must be a security descriptor in SDDL; otherwise, the importer stops.'),
  NO_TIME: doubtful(
    'Without atime, the last access time is meaningless; without LIBARCHIVE.creationtime, the last write time becomes the creation time.',
  ),
  BAD_TIME: refused('Times in PAX records must be decimal seconds; otherwise, the reader in the Windows tools stops.'),
  TIME_RANGE: doubtful(
    'The Windows tools hold times as 64-bit nanoseconds, from 1677 to 2262; other times come out wrong.',
  ),
  BAD_ATTRIBUTE_VALUE: refused(
    'An extended attribute must have a name of at most 255 bytes and a value of at most 65535 bytes, in base64.',
  ),
  ATTRIBUTE_NAME: refused(
    'NTFS allows no control characters and none of " * + , / : ; < = > ? [ \\ ] | in the name of an extended attribute.',
  ),
  ATTRIBUTES_TOO_LARGE: refused('The extended attributes of a file have at most 64 KiB on NTFS, names included.'),
  ATTRIBUTE_NO_NAME: doubtful(
    'The importer passes on an extended attribute without a name, which NTFS does not allow.',
  ),
  ATTRIBUTE_OF_LINK: doubtful('Not every Windows version allows extended attributes on a symbolic link or junction.'),
  EMPTY_ATTRIBUTE: doubtful(
    'An extended attribute without a value does not exist: Windows takes it as a request to delete it.',
  ),

  // types
  NOT_A_WINDOWS_FILE: doubtful('Windows has no devices or FIFOs, and creates an empty file instead.'),
} as const satisfies Readonly<Record<string, Rule>>

export type LayerRule = keyof typeof LAYER_RULES

/** Rules that apply only to base layers. */
export const BASE_RULES: ReadonlySet<LayerRule> = new Set([
  'HIVE_MISSING',
  'HIVE_NOT_FILE',
  'BCD_MISSING',
  'UTILITY_VM_MISSING',
  'TOMBSTONE',
  'LINK_TARGET_MISSING',
] as const)

/** Reports that an entry breaks the rule, or the layer does if `path` is undefined. */
export type Report = (rule: LayerRule, path: string | undefined, message: string) => void
