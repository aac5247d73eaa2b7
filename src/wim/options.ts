/** What the calls on a WIM can be told, with defaults and units. */
import type { Writable } from 'node:stream'
import type { StowageError } from '../errors.js'
import type { WimCompressionType } from './compression.js'
import type { OnWimProgress } from './progress.js'

/** An image by its 1-based number, or every image. Names: {@link WimFile.image}. */
export type ImageNumber = number | 'all'

/** What every call that lasts takes. */
export interface JobOptions {
  /** Aborting it ends the call with ABORTED within a second; no file that looks whole is left behind. */
  readonly signal?: AbortSignal | undefined
  /** Called with each event, the newest of its type where they come faster than they can be told. */
  readonly onProgress?: OnWimProgress | undefined
}

export interface OpenOptions extends JobOptions {
  /** Check the files against their integrity tables, where they have them. Default: no. Throws WIM_CORRUPT. */
  readonly checkIntegrity?: boolean | undefined
  /** Fail now, not at the end, where the file cannot be changed: it is split, marked read-only, or not ours to write. */
  readonly writeAccess?: boolean | undefined
  /** Fail where the WIM is split, instead of opening its other parts too. */
  readonly errorIfSplit?: boolean | undefined
}

export interface ReferenceOptions extends JobOptions {
  /** The paths are patterns of the shell. Default: no. */
  readonly glob?: boolean | undefined
  /** Throw where a pattern matches no file. Default: no. */
  readonly errorIfNoMatch?: boolean | undefined
  readonly checkIntegrity?: boolean | undefined
}

/** How the next write compresses; what is left out stays as it is. */
export interface OutputOptions {
  readonly compression?: WimCompressionType | undefined
  /** In bytes, a power of two: XPRESS 4 KiB to 64 KiB, LZX 32 KiB to 2 MiB, LZMS 32 KiB to 1 GiB; 0: libwim's default. */
  readonly chunkSize?: number | undefined
  /** Of solid resources. */
  readonly solidCompression?: Exclude<WimCompressionType, 'none'> | undefined
  /** Of solid resources, in bytes. */
  readonly solidChunkSize?: number | undefined
}

export interface WriteOptions extends JobOptions {
  /** Write this image only. Default: all. */
  readonly image?: ImageNumber | undefined
  /** Threads that compress, 1 to 256; the processors of the machine when left out. */
  readonly threads?: number | undefined
  /** How hard to compress: 50 is each format's normal, 20 is fast, 100 is slow; 0 or nothing: libwim's default. */
  readonly level?: number | undefined
  /** Write an integrity table, or write none. Default: as the WIM that was opened has it. */
  readonly integrityTable?: boolean | undefined
  /** Write a WIM that can be applied from a pipe, or one that cannot. Default: as the WIM that was opened. */
  readonly pipable?: boolean | undefined
  /** Compress anew even what is compressed as wanted already. */
  readonly recompress?: boolean | undefined
  /** Put the content of files into solid resources. */
  readonly solid?: boolean | undefined
  /** Sort what goes into solid resources by kind. Default: yes. */
  readonly solidSort?: boolean | undefined
  /** Flush to the medium before the call returns. */
  readonly fsync?: boolean | undefined
  /** Do not write blobs that come from other WIMs: the result is a delta WIM. */
  readonly skipExternalWims?: boolean | undefined
  /** Keep the GUID. */
  readonly retainGuid?: boolean | undefined
  /** The WIM may be written even where it is marked read-only. */
  readonly ignoreReadonly?: boolean | undefined
  /** Tell `done-with-file` of each captured file that is not needed any more. */
  readonly sendDoneWithFile?: boolean | undefined
}

export interface OverwriteOptions extends WriteOptions {
  /** Write the whole WIM anew, instead of appending what is new. */
  readonly rebuild?: boolean | undefined
  /** After {@link WimFile.deleteImage}: leave the file's size and only forget the image. */
  readonly softDelete?: boolean | undefined
  /** Compact the file in place: no second copy, and a damaged file if it is interrupted. */
  readonly unsafeCompact?: boolean | undefined
}

/** Where a WIM is written: a file beside which it is made and then renamed, an open file descriptor, or a stream. */
export type WriteTarget = string | { readonly fd: number } | Writable

export type ErrorAnswer = 'ignore' | 'abort'

export interface AddOptions extends JobOptions {
  /** `source` is an NTFS volume, or an image file of one. */
  readonly ntfs?: boolean | undefined
  /** Store what symbolic links point to. */
  readonly dereference?: boolean | undefined
  /** Tell `scan-dentry` of each file. */
  readonly verbose?: boolean | undefined
  /** Tell `scan-dentry` of files that are left out. */
  readonly excludeVerbose?: boolean | undefined
  /** Store owner, group, mode, device numbers and extended attributes of POSIX. */
  readonly unixData?: boolean | undefined
  /** Windows and NTFS: store no security descriptors (`none`), or fail where one cannot be stored whole (`strict`). */
  readonly acls?: 'none' | 'strict' | undefined
  /** Adjust absolute links that point into the source. Default: as the WIM says. */
  readonly rpfix?: boolean | undefined
  /** Fail at a file of a kind that a WIM cannot hold, instead of leaving it out. */
  readonly noUnsupportedExclude?: boolean | undefined
  /** Leave out what Windows leaves out: pagefile.sys, System Volume Information, … Ignored where `config` is given. */
  readonly winconfig?: boolean | undefined
  /** Make the image ready for WIMBoot. */
  readonly wimboot?: boolean | undefined
  /** Fail where a file is there already, instead of replacing it. */
  readonly noReplace?: boolean | undefined
  /** Windows: capture from a snapshot of the volume. */
  readonly snapshot?: boolean | undefined
  /** The source will not be read under its path again once it is scanned. */
  readonly filePathsUnneeded?: boolean | undefined
  /** A capture configuration file: [ExclusionList], [ExclusionException], [PrepopulateList]. */
  readonly config?: string | undefined
  /** Asked for each file whether it is to be left out. */
  readonly exclude?: ((path: string) => boolean | Promise<boolean>) | undefined
  /** Asked whether a file that cannot be read is to be left out. Default: the call fails. */
  readonly onError?: ((path: string, error: StowageError) => ErrorAnswer | Promise<ErrorAnswer>) | undefined
}

export interface AddImageOptions extends AddOptions {
  /** Default: no name. Throws if another image has it. */
  readonly name?: string | undefined
  /** Make this the bootable image. */
  readonly boot?: boolean | undefined
}

/** A directory, file or NTFS volume, and where in the image it goes (`/` when left out). */
export interface CaptureSource {
  readonly source: string
  readonly target?: string | undefined
}

export type UpdateCommand =
  | ({ readonly type: 'add'; readonly source: string; readonly target: string } & Omit<AddOptions, keyof JobOptions>)
  | ({ readonly type: 'delete'; readonly path: string } & DeleteOptions)
  | { readonly type: 'rename'; readonly source: string; readonly target: string }

export interface UpdateOptions extends JobOptions {
  /** Tell `update-begin-command` and `update-end-command`. */
  readonly sendProgress?: boolean | undefined
  readonly exclude?: AddOptions['exclude']
  readonly onError?: AddOptions['onError']
}

export interface DeleteOptions {
  /** No error where nothing is there. */
  readonly force?: boolean | undefined
  /** Directories too, with all that is in them. */
  readonly recursive?: boolean | undefined
}

export interface ExportOptions extends JobOptions {
  /** Make the exported image, or the one of all that was bootable before, the bootable one. */
  readonly boot?: boolean | undefined
  /** Of a single image. Default: its own. */
  readonly name?: string | undefined
  readonly description?: string | undefined
  /** Leave the names, or the descriptions, behind. */
  readonly noNames?: boolean | undefined
  readonly noDescriptions?: boolean | undefined
  /** The source is not needed any more: its tree is moved instead of copied, and it can only be closed afterwards. */
  readonly gift?: boolean | undefined
  readonly wimboot?: boolean | undefined
}

export interface ExtractOptions extends JobOptions {
  /** `target` is an NTFS volume, or an image file of one. */
  readonly ntfs?: boolean | undefined
  /** Extract what is left of damaged files, instead of failing. */
  readonly recoverData?: boolean | undefined
  /** Restore owner, group, mode, device numbers and extended attributes of POSIX. */
  readonly unixData?: boolean | undefined
  /** Windows and NTFS: restore no security descriptors (`none`), or fail where one cannot be restored (`strict`). */
  readonly acls?: 'none' | 'strict' | undefined
  /** Adjust absolute links to point into the target. Default: as the WIM says. */
  readonly rpfix?: boolean | undefined
  /** Extract files whose names this system cannot hold, under names it can. Default: they are left out. */
  readonly replaceInvalidNames?: boolean | undefined
  /** Extract all files whose names differ in case alone, under other names where the system cannot hold them. */
  readonly allCaseConflicts?: boolean | undefined
  /** Fail where a time, a short name or a symbolic link cannot be restored, instead of a warning. */
  readonly strictTimestamps?: boolean | undefined
  readonly strictShortNames?: boolean | undefined
  readonly strictSymlinks?: boolean | undefined
  /** Restore no Windows attributes. */
  readonly noAttributes?: boolean | undefined
  /** Windows: extract files as pointers into the WIM. */
  readonly wimboot?: boolean | undefined
  /** Windows: compress the files on the volume. */
  readonly compact?: 'xpress4k' | 'xpress8k' | 'xpress16k' | 'lzx' | undefined
  /** Asked whether a file that cannot be extracted is to be left out (Windows). Default: the call fails. */
  readonly onError?: AddOptions['onError']
}

export interface ExtractPathsOptions extends ExtractOptions {
  /** The paths are patterns: `*`, `?`, `[…]`. Default: no. */
  readonly glob?: boolean | undefined
  /** Fail where a pattern matches nothing. Default: no. */
  readonly strictGlob?: boolean | undefined
  /** Make each path below the target as it is in the image, instead of its last component alone. Default: yes. */
  readonly preserveDirStructure?: boolean | undefined
}

export interface EntriesOptions {
  /** Where in the image to begin. Default: its root. */
  readonly path?: string | undefined
  /** All that is below the path too. Default: yes. */
  readonly recursive?: boolean | undefined
  /** What is in the directory, but not the directory itself; with `recursive: false`, its own level alone. */
  readonly children?: boolean | undefined
  /** Fail where a blob is not in the WIM, instead of saying so. */
  readonly resourcesNeeded?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export interface SplitOptions extends JobOptions {
  readonly integrityTable?: boolean | undefined
  /** Asked for the name of each part; what it answers is used instead. */
  readonly partName?: ((part: SplitPart) => string | undefined | Promise<string | undefined>) | undefined
}

export interface SplitPart {
  /** From 1. */
  readonly number: number
  readonly total: number
  /** The path libwim would use. */
  readonly path: string
}

export interface JoinOptions extends JobOptions {
  readonly checkIntegrity?: boolean | undefined
  readonly integrityTable?: boolean | undefined
}

export interface MountOptions {
  readonly signal?: AbortSignal | undefined
  /** The image can be changed; {@link unmountImage} with `commit` keeps the changes. */
  readonly readWrite?: boolean | undefined
  /** Stay in the foreground of the child process and tell all that happens on stderr. */
  readonly debug?: boolean | undefined
  /** How named data streams show. Default: `xattr`. */
  readonly streamsInterface?: 'none' | 'xattr' | 'windows' | undefined
  readonly unixData?: boolean | undefined
  /** Other users may look at it too. */
  readonly allowOther?: boolean | undefined
  /** Where changes wait. Default: beside the WIM. */
  readonly stagingDirectory?: string | undefined
  /** Other WIM files that hold blobs of this one; patterns of the shell. */
  readonly references?: readonly string[] | undefined
  readonly checkIntegrity?: boolean | undefined
}

export interface UnmountOptions extends JobOptions {
  readonly commit?: boolean | undefined
  readonly rebuild?: boolean | undefined
  readonly recompress?: boolean | undefined
  readonly integrityTable?: boolean | undefined
  /** Commit even where files are still open. */
  readonly force?: boolean | undefined
  /** Commit to a new image. */
  readonly newImage?: boolean | undefined
}

/** What of the archive's header {@link WimFile.setInfo} changes; what is left out stays. */
export interface InfoChange {
  /** 1-based; 0: none. */
  readonly bootIndex?: number | undefined
  /** 32 hex digits. */
  readonly guid?: string | undefined
  readonly readonly?: boolean | undefined
  readonly rpfix?: boolean | undefined
}

/** How libwim behaves in this process: it is told once, before the first WIM. */
export interface WimlibSettings {
  /** Paths in images match whatever their case. Default: on Windows only. */
  readonly ignoreCase?: boolean | undefined
  /** Windows: do not ask for the privileges of a backup program. */
  readonly noPrivileges?: boolean | undefined
  /** Windows: fail where the privileges to capture, or to apply, cannot be had. */
  readonly strictCapturePrivileges?: boolean | undefined
  readonly strictApplyPrivileges?: boolean | undefined
}
