/**
 * Layers with a single fault each, and what public sources say that a Windows host does with them. No importer runs here:
 * a verdict names the function that was read, and nothing more.
 */
import type { LayerRule } from '../../../src/layer/read/check-rules.js'
import { directoryEntry, fileEntry, goodLayer, type MadeEntry, windowsRecords } from '../layers.js'

export interface Verdict {
  /** Undefined if the source does not say. */
  readonly takes: boolean | undefined
  /** File and function, or section of the specification, that says so. */
  readonly source: string
}

export interface Row {
  readonly name: string
  readonly entries: readonly MadeEntry[]
  /** An upper layer, checked with `base: false`. */
  readonly upper: boolean
  readonly ordinary: Verdict
  readonly cim: Verdict
  /** What `layer check` finds, sorted. */
  readonly finds: readonly LayerRule[]
}

type Change = (entries: readonly MadeEntry[]) => readonly MadeEntry[]

const takes = (source: string): Verdict => ({ takes: true, source })
const refuses = (source: string): Verdict => ({ takes: false, source })
const open = (source: string): Verdict => ({ takes: undefined, source })

const SAFEFILE = 'hcsshim internal/safefile/safeopen.go'
const BASE = 'hcsshim internal/wclayer/baselayerwriter.go baseLayerWriter'
const LEGACY = 'hcsshim internal/wclayer/legacy.go legacyLayerWriter'
const WRAPPER = 'hcsshim internal/wclayer/importlayer.go legacyLayerWriterWrapper'
const TAR = 'go-winio backuptar/tar.go'
const GO = 'golang/go src/archive/tar'

/** Verdicts on the ordinary importer. */
export const HOST = {
  taken: takes(`${BASE}.Add: nothing there asks for it`),
  cleaned: takes(`${SAFEFILE} ntRelativePath: filepath.Clean`),
  cleanedToNothing: refuses(`${SAFEFILE} ntRelativePath gives ".", which MS-FSA 2.1.5.1 does not allow`),
  absolute: refuses(`${SAFEFILE} ntRelativePath: "expected relative path"`),
  colon: refuses(`${SAFEFILE} ntRelativePath: "path contains invalid character"`),
  tooLong: refuses(`${SAFEFILE} ntRelativePath; MS-FSCC 2.1.5`),
  badName: refuses(`${SAFEFILE} openRelativeInternal: MS-FSA 2.1.5.1, STATUS_OBJECT_NAME_INVALID`),
  collision: refuses(`${BASE}.Add: FILE_CREATE of a name that is there`),
  noParent: refuses(`${SAFEFILE} openRelativeInternal: STATUS_OBJECT_PATH_NOT_FOUND`),
  parentNoDirectory: refuses(`${SAFEFILE} openRelativeInternal: OBJ_DONT_REPARSE, and only directories have children`),
  noTarget: refuses(`${SAFEFILE} LinkRelative: FILE_OPEN of a target that is not there`),
  targetReparse: refuses(`${SAFEFILE} LinkRelative: OBJ_DONT_REPARSE without FILE_OPEN_REPARSE_POINT`),
  targetDirectory: refuses(`${SAFEFILE} LinkRelative: MS-FSA 2.1.5.15.6, STATUS_FILE_IS_A_DIRECTORY`),
  linked: takes(`${SAFEFILE} LinkRelative`),
  tooManyNames: refuses(`${SAFEFILE} LinkRelative: MS-FSA 2.1.5.15.6, STATUS_TOO_MANY_LINKS`),
  tombstone: refuses(`${BASE}.Remove: "base layer cannot have tombstones"`),
  basicInfo: refuses(`${BASE}.Add: SetFileBasicInfo, MS-FSA 2.1.5.15.2, STATUS_INVALID_PARAMETER`),
  junction: refuses(`${TAR} WriteBackupStreamFromTarFile: MS-FSA FSCTL_SET_REPARSE_POINT, STATUS_NOT_A_DIRECTORY`),
  reparse: refuses(`${TAR} WriteBackupStreamFromTarFile: MS-FSCC 2.1.2.2, more than 16 KiB or no name`),
  reparsed: takes('go-winio reparse.go EncodeReparsePoint: at most 16,384 bytes'),
  dataOfDirectory: refuses(`${TAR} WriteBackupStreamFromTarFile: BackupData for every TypeReg, also a directory`),
  streamName: refuses(
    `${TAR} WriteBackupStreamFromTarFile: BackupAlternateData with a name that MS-FSCC 2.1.5.3 forbids`,
  ),
  stream: takes(`${TAR} WriteBackupStreamFromTarFile: entries named after the one before`),
  attributes: refuses(`${TAR} FileInfoFromHeader: strconv.ParseUint(s, 10, 32)`),
  attributed: takes(`${TAR} FileInfoFromHeader: strconv.ParseUint(s, 10, 32)`),
  time: refuses(`${GO}/strconv.go parsePAXTime`),
  timed: takes(`${GO}/strconv.go parsePAXTime; reader.go mergePAX leaves out what is empty`),
  creation: refuses(`${TAR} FileInfoFromHeader: parsePAXTime of LIBARCHIVE.creationtime, also if empty`),
  base64: refuses(`${TAR} SecurityDescriptorFromTarHeader: base64.StdEncoding`),
  descriptor: refuses(`${TAR} WriteBackupStreamFromTarFile: BackupSecurity, ERROR_INVALID_SECURITY_DESCR`),
  described: takes(`${TAR} SecurityDescriptorFromTarHeader, and no BackupSecurity if it is empty`),
  sddl: refuses('go-winio sd.go SddlToSecurityDescriptor'),
  attributeValue: refuses(`${TAR} ExtendedAttributesFromTarHeader; ea.go writeEa`),
  attributeRules: refuses(`${TAR} WriteBackupStreamFromTarFile: BackupEaData, MS-FSA 2.1.5.15.5`),
  attributePassed: takes(`${TAR} ExtendedAttributesFromTarHeader; ea.go writeEa`),
  notSeen: takes(`${BASE}.Add: compares the name UtilityVM/Files as it is`),
  baseImage: refuses('ProcessBaseImage of the host; hcsshim internal/wclayer/converttobaselayer.go ensureBaseLayer'),
  utilityImage: refuses(
    'ProcessUtilityImage of the host; hcsshim internal/wclayer/converttobaselayer.go ensureBaseLayer',
  ),
  upper: takes(`${LEGACY}.Add`),
  upperNoUtilityVm: refuses(`${LEGACY}.Add: "missing UtilityVM directory"`),
  upperUtilityVm: refuses(`${LEGACY}.Add: "invalid UtilityVM layer"`),
  upperClosed: refuses(`${LEGACY}.Write: "closed", for initUtilityVM opens no file`),
  upperReplaced: takes(`${LEGACY}.Add: RemoveRelative first; ${WRAPPER}.Close: before each link`),
  upperLink: refuses(`${LEGACY}.AddLink: "invalid hard link in layer"`),
  upperTarget: refuses(`${LEGACY}.AddLink: "failed to find link target"`),
  upperLinked: takes(`${LEGACY}.AddLink: addedFiles, or the layers below`),
  upperTombstone: refuses(`${LEGACY}.Remove: "invalid tombstone"`),
  upperRemoved: takes(`${LEGACY}.Remove`),
  upperOpaque: refuses(`${LEGACY}.Remove: LstatRelative of .wh..opq`),
  upperGone: takes(`${WRAPPER}.Close: removes Tombstones after ImportLayer`),
  upperTimes: refuses(`${WRAPPER}.Close: reapplyDirectoryTimes of a directory that it has removed`),
  upperLinkGone: refuses(`${WRAPPER}.Close: LinkRelative to a file that it has removed`),
} as const satisfies Readonly<Record<string, Verdict>>

const CIM_WRITER = 'hcsshim internal/wclayer/cim/LayerWriter.go CimLayerWriter'

/** Verdicts on the importer for CimFS, whose writer is a part of Windows that no source shows. */
export const CIM = {
  taken: takes(`${CIM_WRITER}.Add: nothing there asks for it`),
  open: open(`${CIM_WRITER}.Add: up to the writer of Windows`),
  stream: refuses('hcsshim pkg/ociwclayer/cim/import.go writeCimLayerFromTar: "stream types other than $DATA"'),
  literal: refuses(`${CIM_WRITER}.Add and AddLink: paths as they are, which the writer of Windows does not simplify`),
  twice: refuses(`${CIM_WRITER}.Add: a second file of the same name`),
  systemLink: refuses(`${CIM_WRITER}.AddLink: "unexpected link"; process.go processBaseLayerHives`),
  case: refuses(`${CIM_WRITER}.AddLink: the writer of Windows compares names as they are`),
} as const satisfies Readonly<Record<string, Verdict>>

/** An upper layer without a flaw. */
export function goodUpper(): MadeEntry[] {
  const { 'MSWINDOWS.rawsd': _, ...plain } = windowsRecords(0x10)
  return [
    directoryEntry('Files'),
    directoryEntry('Files/d'),
    fileEntry('Files/d/a'),
    { name: 'UtilityVM', flag: '5', mode: 0o755, records: plain },
    directoryEntry('UtilityVM/Files'),
    fileEntry('UtilityVM/Files/f'),
    directoryEntry('Hives'),
    fileEntry('Hives/System_Delta'),
  ]
}

/** A row for a base layer. */
export function base(name: string, change: Change, ordinary: Verdict, cim: Verdict, ...finds: LayerRule[]): Row {
  return { name, entries: change(goodLayer()), upper: false, ordinary, cim, finds: finds.sort() }
}

/** A row for an upper layer. */
export function upper(name: string, change: Change, ordinary: Verdict, cim: Verdict, ...finds: LayerRule[]): Row {
  return { name, entries: change(goodUpper()), upper: true, ordinary, cim, finds: finds.sort() }
}

export const add =
  (...more: readonly MadeEntry[]): Change =>
  entries => [...entries, ...more]

export const without =
  (...names: readonly string[]): Change =>
  entries =>
    entries.filter(entry => !names.includes(entry.name))

/** Leaves out the entry `name`, and appends `more`. */
export const instead =
  (name: string, ...more: readonly MadeEntry[]): Change =>
  entries => [...entries.filter(entry => entry.name !== name), ...more]

/** Puts `more` before the entry `name`. */
export const before =
  (name: string, ...more: readonly MadeEntry[]): Change =>
  entries =>
    entries.flatMap(entry => (entry.name === name ? [...more, entry] : [entry]))

/** A file with other records; those that are undefined are left out. */
export function withRecords(entry: MadeEntry, records: Readonly<Record<string, string | undefined>>): MadeEntry {
  const all = Object.entries({ ...entry.records, ...records })
  return {
    ...entry,
    records: Object.fromEntries(all.filter((pair): pair is [string, string] => pair[1] !== undefined)),
  }
}
