/**
 * Layers with a single fault each, and what public sources say that a Windows host does with them. No importer runs here:
 * a verdict names the lines that were read, and nothing more. The lines are those of Go 1.19.8 (golang/go, go1.19.8), of
 * go-winio v0.6.2 (microsoft/go-winio), and of each file of microsoft/hcsshim at the commit that `HCSSHIM` names.
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

/** Files of microsoft/hcsshim, each at a commit that has these lines. */
const HCSSHIM = {
  SAFEFILE: 'internal/safefile/safeopen.go@949e46a1260a6aca39c1b813a1ead2344ffe6199',
  WINAPI: 'internal/winapi/utils.go@157762a825674130785f7f369189c7ab210fa056',
  BASE: 'internal/wclayer/baselayerwriter.go@8ba72c46ac6b0766055a10526e9d2912db45d129',
  LEGACY: 'internal/wclayer/legacy.go@eaf780cc01c014668b7b198a384963a14349586b',
  WRAPPER: 'internal/wclayer/importlayer.go@8ba72c46ac6b0766055a10526e9d2912db45d129',
  CONVERT: 'internal/wclayer/converttobaselayer.go@d50ab13fc695a0b4addfdacc39e465fa8bf52410',
  CIM: 'internal/wclayer/cim/LayerWriter.go@8ba72c46ac6b0766055a10526e9d2912db45d129',
  /** Release v0.12.9, as moby/moby has it in vendor/github.com/Microsoft/hcsshim. */
  CIM_12: 'internal/wclayer/cim/LayerWriter.go@18d5271ff368b0847d50eb0c9ac2a509be23629f (moby/moby)',
  CIM_PROCESS: 'internal/wclayer/cim/process.go@a6b8a26fbceac635055ab00901a7f559755fa2b4',
  CIM_IMPORT: 'pkg/ociwclayer/cim/import.go@05d8ca693d3a3c1d5f2f082e17da01860efe8081',
} as const

const TAR = 'go-winio backuptar/tar.go'
const GO = 'golang/go src/archive/tar'

/** Lines of a file of hcsshim, and the function that has them. */
const at = (file: keyof typeof HCSSHIM, lines: string): string => `hcsshim ${HCSSHIM[file]}:${lines}`

/** Verdicts on the ordinary importer. */
export const HOST = {
  taken: takes(`${at('BASE', '73-117')} Add: nothing there asks for it`),
  cleaned: takes(`${at('SAFEFILE', '30')} cleanGoStringRelativePath: filepath.Clean`),
  cleanedToNothing: refuses(
    `${at('SAFEFILE', '30')} cleanGoStringRelativePath gives ".", which MS-FSA 2.1.5.1 does not allow`,
  ),
  absolute: refuses(`${at('SAFEFILE', '37-38')} cleanGoStringRelativePath: "expected relative path"`),
  colon: refuses(`${at('SAFEFILE', '31-34')} cleanGoStringRelativePath: "path contains invalid character"`),
  tooLong: refuses(`${at('WINAPI', '48-55')} NewUnicodeString: ENAMETOOLONG; MS-FSCC 2.1.5`),
  badName: refuses(`${at('SAFEFILE', '84-98')} openRelativeInternal: MS-FSA 2.1.5.1, STATUS_OBJECT_NAME_INVALID`),
  collision: refuses(`${at('BASE', '103')} Add: FILE_CREATE of a name that is there`),
  noParent: refuses(`${at('SAFEFILE', '84-98')} openRelativeInternal: STATUS_OBJECT_PATH_NOT_FOUND`),
  parentNoDirectory: refuses(
    `${at('SAFEFILE', '83')} openRelativeInternal: OBJ_DONT_REPARSE, and only directories have children`,
  ),
  noTarget: refuses(`${at('SAFEFILE', '125-132')} LinkRelative: FILE_OPEN of a target that is not there`),
  targetReparse: refuses(`${at('SAFEFILE', '125-132')} LinkRelative: OBJ_DONT_REPARSE without FILE_OPEN_REPARSE_POINT`),
  targetDirectory: refuses(`${at('SAFEFILE', '184-190')} LinkRelative: MS-FSA 2.1.5.15.6, STATUS_FILE_IS_A_DIRECTORY`),
  linked: takes(`${at('SAFEFILE', '123-196')} LinkRelative`),
  tooManyNames: refuses(`${at('SAFEFILE', '184-190')} LinkRelative: MS-FSA 2.1.5.15.6, STATUS_TOO_MANY_LINKS`),
  tombstone: refuses(`${at('BASE', '134-136')} Remove: "base layer cannot have tombstones"`),
  basicInfo: refuses(`${at('BASE', '108')} Add: SetFileBasicInfo, MS-FSA 2.1.5.15.2, STATUS_INVALID_PARAMETER`),
  junction: refuses(
    `${TAR}:455-460 WriteBackupStreamFromTarFile: MS-FSA FSCTL_SET_REPARSE_POINT, STATUS_NOT_A_DIRECTORY`,
  ),
  reparse: refuses(`${TAR}:455-460 WriteBackupStreamFromTarFile: MS-FSCC 2.1.2.2, more than 16 KiB or no name`),
  reparsed: takes('go-winio reparse.go:81-131 EncodeReparsePoint: at most 16,384 bytes'),
  dataOfDirectory: refuses(
    `${TAR}:471-475 WriteBackupStreamFromTarFile: BackupData for every TypeReg, also a directory`,
  ),
  streamName: refuses(
    `${TAR}:494-498 WriteBackupStreamFromTarFile: BackupAlternateData with a name that MS-FSCC 2.1.5.3 forbids`,
  ),
  stream: takes(`${TAR}:491-498 WriteBackupStreamFromTarFile: entries named after the one before`),
  attributes: refuses(`${TAR}:391-394 FileInfoFromHeader: strconv.ParseUint(s, 10, 32)`),
  attributed: takes(`${TAR}:391-395 FileInfoFromHeader: strconv.ParseUint(s, 10, 32)`),
  time: refuses(`${GO}/strconv.go:200-218 parsePAXTime; reader.go:269-286 mergePAX`),
  timed: takes(`${GO}/strconv.go:200-228 parsePAXTime; reader.go:250-251 mergePAX leaves out what is empty`),
  creation: refuses(`${TAR}:401-405 FileInfoFromHeader: parsePAXTime of LIBARCHIVE.creationtime, also if empty`),
  base64: refuses(`${TAR}:119-127 SecurityDescriptorFromTarHeader: base64.StdEncoding`),
  descriptor: refuses(`${TAR}:421-434 WriteBackupStreamFromTarFile: BackupSecurity, ERROR_INVALID_SECURITY_DESCR`),
  described: takes(`${TAR}:118-136 SecurityDescriptorFromTarHeader; 421: no BackupSecurity if it is empty`),
  sddl: refuses(`${TAR}:132-133 SecurityDescriptorFromTarHeader; sd.go:118-122 SddlToSecurityDescriptor`),
  attributeValue: refuses(`${TAR}:146-149 ExtendedAttributesFromTarHeader; ea.go:73-79 writeEa`),
  attributeRules: refuses(`${TAR}:440-453 WriteBackupStreamFromTarFile: BackupEaData, MS-FSA 2.1.5.15.5`),
  attributePassed: takes(`${TAR}:140-163 ExtendedAttributesFromTarHeader; ea.go:73-119 writeEa`),
  notSeen: takes(`${at('BASE', '85')} Add: compares the name UtilityVM/Files as it is`),
  baseImage: refuses(`ProcessBaseImage of the host, ${at('BASE', '166')}; ${at('CONVERT', '63-75')} ensureBaseLayer`),
  utilityImage: refuses(
    `ProcessUtilityImage of the host, ${at('BASE', '171-176')}; ${at('CONVERT', '77-107')} ensureBaseLayer`,
  ),
  upper: takes(`${at('LEGACY', '585-716')} Add`),
  upperNoUtilityVm: refuses(`${at('LEGACY', '600-602')} Add: "missing UtilityVM directory"`),
  upperUtilityVm: refuses(`${at('LEGACY', '603-605')} Add: "invalid UtilityVM layer"`),
  upperClosed: refuses(
    `${at('LEGACY', '797-800')} Write: "closed", for initUtilityVM (590-592, 405-422) opens no file`,
  ),
  upperReplaced: takes(`${at('LEGACY', '629')} Add: RemoveRelative; ${at('WRAPPER', '90')} Close: before each link`),
  upperLink: refuses(`${at('LEGACY', '736-738')} AddLink: "invalid hard link in layer"`),
  upperTarget: refuses(`${at('LEGACY', '743-758')} AddLink: "failed to find link target"`),
  upperLinked: takes(`${at('LEGACY', '742-768')} AddLink: addedFiles, or the layers below`),
  upperTombstone: refuses(`${at('LEGACY', '790-792')} Remove: "invalid tombstone"`),
  upperRemoved: takes(`${at('LEGACY', '771-789')} Remove`),
  upperOpaque: refuses(`${at('LEGACY', '783-785')} Remove: LstatRelative of .wh..opq`),
  upperGone: takes(`${at('WRAPPER', '80-87')} Close: removes Tombstones after ImportLayer`),
  upperTimes: refuses(
    `${at('WRAPPER', '105')} Close: reapplyDirectoryTimes of a directory that it has removed; ${at('BASE', '43-46')}`,
  ),
  upperLinkGone: refuses(`${at('WRAPPER', '93-95')} Close: LinkRelative to a file that it has removed`),
} as const satisfies Readonly<Record<string, Verdict>>

/** Verdicts on the importer for CimFS, whose writer is a part of Windows that no source shows. */
export const CIM = {
  taken: takes(`${at('CIM', '84-109')} Add: nothing there asks for it`),
  open: open(`${at('CIM', '103')} Add: up to the writer of Windows`),
  stream: refuses(`${at('CIM_IMPORT', '131-133')} writeCimLayerFromTar: "stream types other than $DATA"`),
  literal: refuses(
    `${at('CIM', '103 and 128')} Add and AddLink: paths as they are, which the writer of Windows does not simplify`,
  ),
  twice: refuses(`${at('CIM', '103')} Add: a second file of the same name`),
  systemLink: refuses(
    `${at('CIM', '123-126')} AddLink: "unexpected link"; ${at('CIM_PROCESS', '129-134')} processBaseLayerHives`,
  ),
  utilityVm: refuses(
    `${at('CIM_12', '179-184')} Close: "read os version string from UtilityVM SOFTWARE hive"; not in CIM, 146-150`,
  ),
  case: refuses(`${at('CIM', '128')} AddLink: the writer of Windows compares names as they are`),
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
    ...goodLayer().filter(({ name }) => name.startsWith('UtilityVM/Files/Windows')),
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
