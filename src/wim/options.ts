/** The options of the calls on a WIM. */
import type { Writable } from 'node:stream'
import type { StowageError } from '../errors.js'
import type { WimCompressionType } from './compression.js'
import type { OnWimProgress } from './progress.js'

/** An image by its number, from 1, or all images. For names, see {@link WimFile.image}. */
export type ImageNumber = number | 'all'

/** Options of every call that may take long. */
export interface JobOptions {
  /** An abort ends the call with ABORTED within a second, and leaves no file that looks complete. */
  readonly signal?: AbortSignal | undefined
  /** Called with each event; with the newest of each type if events come faster than they can be handled. */
  readonly onProgress?: OnWimProgress | undefined
}

export interface OpenOptions extends JobOptions {
  /** Check the files against their integrity tables, if they have any. Default: no. Throws WIM_CORRUPT. */
  readonly checkIntegrity?: boolean | undefined
  /** Fail on opening if the file cannot be changed, because it is split, marked read-only or not writable. */
  readonly writeAccess?: boolean | undefined
  /** Fail if the WIM is split, instead of opening its other parts too. */
  readonly errorIfSplit?: boolean | undefined
}

export interface ReferenceOptions extends JobOptions {
  /** The paths are shell patterns. Default: no. */
  readonly glob?: boolean | undefined
  /** Throw if a pattern matches no file. Default: no. */
  readonly errorIfNoMatch?: boolean | undefined
  readonly checkIntegrity?: boolean | undefined
}

/** The compression of the next write. Undefined options are unchanged. */
export interface OutputOptions {
  readonly compression?: WimCompressionType | undefined
  /**
   * In bytes, a power of two: XPRESS 4 KiB to 64 KiB, LZX 32 KiB to 2 MiB, LZMS 32 KiB to 1 GiB; 0 is libwim's default.
   */
  readonly chunkSize?: number | undefined
  /** Compression of solid resources. */
  readonly solidCompression?: Exclude<WimCompressionType, 'none'> | undefined
  /** Chunk size of solid resources, in bytes. */
  readonly solidChunkSize?: number | undefined
}

export interface WriteOptions extends JobOptions {
  /** Write only this image. Default: all. */
  readonly image?: ImageNumber | undefined
  /** Threads for compression, 1 to 256; by default one per processor. */
  readonly threads?: number | undefined
  /** Compression level: 50 is normal for each format, 20 is fast, 100 is slow; 0 (the default) is libwim's default. */
  readonly level?: number | undefined
  /** Whether to write an integrity table. Default: as in the WIM that was opened. */
  readonly integrityTable?: boolean | undefined
  /** Whether to write a WIM that can be applied from a pipe. Default: as in the WIM that was opened. */
  readonly pipable?: boolean | undefined
  /** Recompress even blobs that already have the requested compression. */
  readonly recompress?: boolean | undefined
  /** Store the content of files in solid resources. */
  readonly solid?: boolean | undefined
  /** Sort the files in solid resources by type. Default: yes. */
  readonly solidSort?: boolean | undefined
  /** Flush the data to the medium before the call returns. */
  readonly fsync?: boolean | undefined
  /** Do not write blobs that come from other WIMs: the result is a delta WIM. */
  readonly skipExternalWims?: boolean | undefined
  /** Keep the GUID. */
  readonly retainGuid?: boolean | undefined
  /** Allow writing even if the WIM is marked read-only. */
  readonly ignoreReadonly?: boolean | undefined
  /** Send `done-with-file` for each captured file that is no longer needed. */
  readonly sendDoneWithFile?: boolean | undefined
}

export interface OverwriteOptions extends WriteOptions {
  /** Rewrite the whole WIM instead of appending to it. */
  readonly rebuild?: boolean | undefined
  /** After {@link WimFile.deleteImage}: only remove the image from the list, without shrinking the file. */
  readonly softDelete?: boolean | undefined
  /** Compact the file in place, without a second copy. The file is damaged if this is interrupted. */
  readonly unsafeCompact?: boolean | undefined
}

/** The target of a write: the path of a file, which is replaced atomically, an open file descriptor, or a stream. */
export type WriteTarget = string | { readonly fd: number } | Writable

export type ErrorAnswer = 'ignore' | 'abort'

export interface AddOptions extends JobOptions {
  /** `source` is an NTFS volume or an image file of one. */
  readonly ntfs?: boolean | undefined
  /** Store what symbolic links point to. */
  readonly dereference?: boolean | undefined
  /** Send `scan-dentry` for each file. */
  readonly verbose?: boolean | undefined
  /** Send `scan-dentry` for files that are excluded. */
  readonly excludeVerbose?: boolean | undefined
  /** Store POSIX owner, group, mode, device numbers and extended attributes. */
  readonly unixData?: boolean | undefined
  /**
   * Windows and NTFS: store no security descriptors (`none`), or fail if one cannot be stored completely (`strict`).
   */
  readonly acls?: 'none' | 'strict' | undefined
  /** Adjust absolute links that point into the source. Default: as in the WIM. */
  readonly rpfix?: boolean | undefined
  /** Fail at a file of a type that a WIM cannot hold, instead of excluding it. */
  readonly noUnsupportedExclude?: boolean | undefined
  /** Exclude what Windows excludes: pagefile.sys, System Volume Information, … Ignored if `config` is given. */
  readonly winconfig?: boolean | undefined
  /** Make the image ready for WIMBoot. */
  readonly wimboot?: boolean | undefined
  /** Fail if a file already exists, instead of replacing it. */
  readonly noReplace?: boolean | undefined
  /** Windows: capture from a snapshot of the volume. */
  readonly snapshot?: boolean | undefined
  /** The paths of the source are not needed after the scan. */
  readonly filePathsUnneeded?: boolean | undefined
  /** A capture configuration file: [ExclusionList], [ExclusionException], [PrepopulateList]. */
  readonly config?: string | undefined
  /** Called for each file; returns whether to exclude it. */
  readonly exclude?: ((path: string) => boolean | Promise<boolean>) | undefined
  /** Called for a file that cannot be read; returns whether to exclude it. By default the call fails. */
  readonly onError?: ((path: string, error: StowageError) => ErrorAnswer | Promise<ErrorAnswer>) | undefined
}

export interface AddImageOptions extends AddOptions {
  /** Default: no name. Throws if another image has this name. */
  readonly name?: string | undefined
  /** Make this the bootable image. */
  readonly boot?: boolean | undefined
}

/** A directory, file or NTFS volume, and its path in the image (by default `/`). */
export interface CaptureSource {
  readonly source: string
  readonly target?: string | undefined
}

export type UpdateCommand =
  | ({ readonly type: 'add'; readonly source: string; readonly target: string } & Omit<AddOptions, keyof JobOptions>)
  | ({ readonly type: 'delete'; readonly path: string } & DeleteOptions)
  | { readonly type: 'rename'; readonly source: string; readonly target: string }

export interface UpdateOptions extends JobOptions {
  /** Send `update-begin-command` and `update-end-command`. */
  readonly sendProgress?: boolean | undefined
  readonly exclude?: AddOptions['exclude']
  readonly onError?: AddOptions['onError']
}

export interface DeleteOptions {
  /** Do not fail if the path does not exist. */
  readonly force?: boolean | undefined
  /** Also delete directories with their contents. */
  readonly recursive?: boolean | undefined
}

export interface ExportOptions extends JobOptions {
  /** Make the exported image bootable; if all images are exported, the one that was bootable before. */
  readonly boot?: boolean | undefined
  /** Name and description of a single exported image. Default: its own. */
  readonly name?: string | undefined
  readonly description?: string | undefined
  /** Omit the names, or the descriptions. */
  readonly noNames?: boolean | undefined
  readonly noDescriptions?: boolean | undefined
  /** Move the tree of the source instead of copying it. The source can then only be closed. */
  readonly gift?: boolean | undefined
  readonly wimboot?: boolean | undefined
}

export interface ExtractOptions extends JobOptions {
  /** `target` is an NTFS volume or an image file of one. */
  readonly ntfs?: boolean | undefined
  /** Extract what is readable of damaged files, instead of failing. */
  readonly recoverData?: boolean | undefined
  /** Restore POSIX owner, group, mode, device numbers and extended attributes. */
  readonly unixData?: boolean | undefined
  /** Windows and NTFS: restore no security descriptors (`none`), or fail if one cannot be restored (`strict`). */
  readonly acls?: 'none' | 'strict' | undefined
  /** Adjust absolute links to point into the target. Default: as in the WIM. */
  readonly rpfix?: boolean | undefined
  /** Extract files whose names are invalid on this system under changed names. Default: skip them. */
  readonly replaceInvalidNames?: boolean | undefined
  /** Extract all files whose names differ only in case, under changed names if the system cannot hold them. */
  readonly allCaseConflicts?: boolean | undefined
  /** Fail if a time, a short name or a symbolic link cannot be restored, instead of warning. */
  readonly strictTimestamps?: boolean | undefined
  readonly strictShortNames?: boolean | undefined
  readonly strictSymlinks?: boolean | undefined
  /** Do not restore Windows attributes. */
  readonly noAttributes?: boolean | undefined
  /** Windows: extract files as pointers into the WIM. */
  readonly wimboot?: boolean | undefined
  /** Windows: compress the files on the volume. */
  readonly compact?: 'xpress4k' | 'xpress8k' | 'xpress16k' | 'lzx' | undefined
  /** Windows: called for a file that cannot be extracted; returns whether to skip it. By default the call fails. */
  readonly onError?: AddOptions['onError']
}

export interface ExtractPathsOptions extends ExtractOptions {
  /** The paths are patterns: `*`, `?`, `[…]`. Default: no. */
  readonly glob?: boolean | undefined
  /** Fail if a pattern matches nothing. Default: no. */
  readonly strictGlob?: boolean | undefined
  /** Create the full path of each file below the target, instead of only its last component. Default: yes. */
  readonly preserveDirStructure?: boolean | undefined
}

export interface EntriesOptions {
  /** Path in the image to start at. Default: its root. */
  readonly path?: string | undefined
  /** Include everything below the path. Default: yes. */
  readonly recursive?: boolean | undefined
  /** The contents of the directory without the directory itself; with `recursive: false`, only its direct children. */
  readonly children?: boolean | undefined
  /** Fail if a blob is not in the WIM, instead of reporting it as missing. */
  readonly resourcesNeeded?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export interface SplitOptions extends JobOptions {
  readonly integrityTable?: boolean | undefined
  /** Called for each part; returns a path to use instead of the default one. */
  readonly partName?: ((part: SplitPart) => string | undefined | Promise<string | undefined>) | undefined
}

export interface SplitPart {
  /** From 1. */
  readonly number: number
  readonly total: number
  /** The default path. */
  readonly path: string
}

export interface JoinOptions extends JobOptions {
  readonly checkIntegrity?: boolean | undefined
  readonly integrityTable?: boolean | undefined
}

export interface MountOptions {
  readonly signal?: AbortSignal | undefined
  /** Allow changes; {@link unmountImage} with `commit` keeps them. */
  readonly readWrite?: boolean | undefined
  /** Keep the child process in the foreground and log everything to stderr. */
  readonly debug?: boolean | undefined
  /** How named data streams appear. Default: `xattr`. */
  readonly streamsInterface?: 'none' | 'xattr' | 'windows' | undefined
  readonly unixData?: boolean | undefined
  /** Allow other users to access the mount. */
  readonly allowOther?: boolean | undefined
  /** Directory for staged changes. Default: beside the WIM. */
  readonly stagingDirectory?: string | undefined
  /** Other WIM files with blobs of this one, as shell patterns. */
  readonly references?: readonly string[] | undefined
  readonly checkIntegrity?: boolean | undefined
}

export interface UnmountOptions extends JobOptions {
  readonly commit?: boolean | undefined
  readonly rebuild?: boolean | undefined
  readonly recompress?: boolean | undefined
  readonly integrityTable?: boolean | undefined
  /** Commit even if files are still open. */
  readonly force?: boolean | undefined
  /** Commit to a new image. */
  readonly newImage?: boolean | undefined
}

/** Fields of the header that {@link WimFile.setInfo} changes. Undefined fields are unchanged. */
export interface InfoChange {
  /** From 1; 0 means that no image is bootable. */
  readonly bootIndex?: number | undefined
  /** 32 hex digits. */
  readonly guid?: string | undefined
  readonly readonly?: boolean | undefined
  readonly rpfix?: boolean | undefined
}

/** Settings of libwim for the whole process, which must be set before the first WIM is opened. */
export interface WimlibSettings {
  /** Ignore case in paths of images. Default: only on Windows. */
  readonly ignoreCase?: boolean | undefined
  /** Windows: do not acquire backup privileges. */
  readonly noPrivileges?: boolean | undefined
  /** Windows: fail if the privileges for capturing, or for applying, cannot be acquired. */
  readonly strictCapturePrivileges?: boolean | undefined
  readonly strictApplyPrivileges?: boolean | undefined
}
