/** A WIM archive: what it says of itself, its images, their files and blobs, and all that libwim can do to it. */
import { WimArchive } from './wim-archive.js'
import type { NativeWimFile } from './addon.js'
import { checkedLevel, compressionNumber, type WimCompressionType } from './compression.js'
import {
  addFlags,
  checkedThreads,
  deleteFlags,
  exportFlags,
  extractFlags,
  imageNumber,
  openFlags,
  packCommands,
  packInfo,
  packOutput,
  referenceFlags,
  updateFlags,
  writeFlags,
} from './flags.js'
import { startJob } from './job.js'
import type {
  AddImageOptions,
  AddOptions,
  CaptureSource,
  DeleteOptions,
  ExportOptions,
  ExtractOptions,
  ExtractPathsOptions,
  ImageNumber,
  InfoChange,
  OpenOptions,
  OutputOptions,
  OverwriteOptions,
  ReferenceOptions,
  SplitOptions,
  UpdateCommand,
  UpdateOptions,
  WriteOptions,
  WriteTarget,
} from './options.js'
import { splitBeside, writeBeside } from './output.js'
import { partsOf } from './parts.js'

/**
 * Opens a WIM, or a split one by any of its parts (the others must stand beside it).
 * Throws FILE_NOT_FOUND, NOT_A_WIM, WIM_CORRUPT, WIM_PART_MISSING, UNSUPPORTED, PERMISSION_DENIED or ADDON_MISSING. Whoever
 * opens it closes it: `await using wim = await openWim(path)`.
 */
export async function openWim(path: string, options: OpenOptions = {}): Promise<WimFile> {
  const parts = await partsOf(path)
  const native = await startJob('open', { paths: parts, flags: openFlags(options) }, path, options).result
  return new WimFile(native as NativeWimFile) // what `open` gives
}

/** A new WIM, in memory until {@link WimFile.write}. `compression` is of what will be written: LZX when left out. */
export async function createWim({
  compression = 'lzx',
}: { readonly compression?: WimCompressionType | undefined } = {}): Promise<WimFile> {
  const native = await startJob('create', { compression: compressionNumber(compression) }, 'a new WIM').result
  return new WimFile(native as NativeWimFile) // what `create` gives
}

/**
 * An open WIM. Made by {@link openWim} and {@link createWim}.
 *
 * Changes are made in memory, and reach a file with {@link write} or {@link overwrite}. Calls may overlap: those that libwim
 * does are done in the order they were made. All of them throw INVALID_ARGUMENT once it is closed, ABORTED if `signal`
 * says so, and else a StowageError whose `cause` is libwim's own error, a {@link WimlibError}.
 */
export class WimFile extends WimArchive {
  /** Sets a property, or removes it where `value` is undefined. Throws if another image has the name. */
  async setProperty(image: number, name: string, value: string | undefined): Promise<void> {
    await this.job('setProperty', { image: imageNumber(image), name, value })
  }

  async setName(image: number, name: string | undefined): Promise<void> {
    await this.job('setName', { image: imageNumber(image), value: name })
  }

  async setDescription(image: number, description: string | undefined): Promise<void> {
    await this.job('setDescription', { image: imageNumber(image), value: description })
  }

  /** The edition, such as `Core`. */
  async setFlags(image: number, flags: string | undefined): Promise<void> {
    await this.job('setFlags', { image: imageNumber(image), value: flags })
  }

  async setInfo(change: InfoChange): Promise<void> {
    await this.job('setInfo', packInfo(change))
  }

  async imageNameInUse(name: string): Promise<boolean> {
    return (await this.job('nameInUse', { name })) as boolean // what `nameInUse` gives
  }

  /** Adds an image without files, and gives its number. */
  async addEmptyImage(name?: string): Promise<number> {
    return (await this.job('addEmptyImage', { name })) as number // what `addEmptyImage` gives
  }

  /**
   * Captures directories, files or an NTFS volume as a new image, and gives its number. Files are read again when the WIM is
   * written, so they must not change until then.
   */
  async addImage(source: string | readonly CaptureSource[], options: AddImageOptions = {}): Promise<number> {
    const sources = typeof source === 'string' ? [{ source }] : source
    const { name, config } = options
    return (await this.job(
      'addImage',
      {
        sources: sources.map(({ source: from, target = '/' }) => ({ source: from, target })),
        name,
        config,
        flags: addFlags(options),
      },
      options,
    )) as number // what `addImage` gives
  }

  /** Adds a directory, a file or an NTFS volume to an image, as `target` in it. */
  async addTree(image: number, source: string, target: string, options: AddOptions = {}): Promise<void> {
    // libwim's own call of this name takes no configuration file
    await this.update(image, [{ ...options, type: 'add', source, target }], options)
  }

  /** Adds, deletes and renames, all or nothing. */
  async update(image: number, commands: readonly UpdateCommand[], options: UpdateOptions = {}): Promise<void> {
    const packed = packCommands(commands, options)
    await this.job('update', { image: imageNumber(image), commands: packed, flags: updateFlags(options) }, options)
  }

  async deletePath(image: number, path: string, options: DeleteOptions = {}): Promise<void> {
    await this.job('deletePath', { image: imageNumber(image), path, flags: deleteFlags(options) })
  }

  async renamePath(image: number, source: string, target: string): Promise<void> {
    await this.job('renamePath', { image: imageNumber(image), source, target })
  }

  /** The images after it move up by one. Its blobs leave the file when that is written anew. */
  async deleteImage(image: ImageNumber): Promise<void> {
    await this.job('deleteImage', { image: imageNumber(image) })
  }

  /** Adds an image, or all, to another open WIM, which reads its blobs from this one when it is written. */
  async exportImage(image: ImageNumber, destination: WimFile, options: ExportOptions = {}): Promise<void> {
    const { name, description } = options
    await this.job(
      'export',
      {
        image: imageNumber(image),
        destination: destination.openNative(),
        name,
        description,
        flags: exportFlags(options),
      },
      options,
      [destination],
    )
  }

  /** Other WIM files that hold blobs of this one: the base of a delta WIM, parts of a split one. */
  async referenceFiles(paths: readonly string[], options: ReferenceOptions = {}): Promise<void> {
    const args = {
      paths,
      flags: referenceFlags(options),
      openFlags: openFlags({ checkIntegrity: options.checkIntegrity }),
    }
    this.replace(await this.job('reference', args, options))
  }

  /** Other open WIMs that hold blobs of this one. They must stay open until this one is written. */
  async referenceResources(wims: readonly WimFile[]): Promise<void> {
    await this.job('referenceWims', { wims: wims.map(wim => wim.openNative()) }, {}, wims)
  }

  /** Files of the newly captured `image` that are as they were in `templateImage` need not be read again. */
  async referenceTemplate(image: number, template: WimFile, templateImage: number): Promise<void> {
    await this.job(
      'referenceTemplate',
      {
        image: imageNumber(image),
        template: template.openNative(),
        templateImage: imageNumber(templateImage),
      },
      {},
      [template],
    )
  }

  /** How the next write compresses. Throws INVALID_ARGUMENT for a chunk size that the compression does not have. */
  async setOutput(options: OutputOptions): Promise<void> {
    await this.job('setOutput', packOutput(options))
  }

  /**
   * Writes the WIM, or one image of it. A path is written beside its place and renamed, so it is whole or as it was; to a
   * stream, or to a descriptor that cannot seek, only a pipable WIM can be written. A stream is ended; a descriptor stays open.
   */
  async write(target: WriteTarget, options: WriteOptions = {}): Promise<void> {
    const args = {
      image: imageNumber(options.image ?? 'all'),
      flags: writeFlags(options),
      threads: checkedThreads(options.threads),
      level: checkedLevel(options.level),
    }
    if (typeof target === 'string') {
      await writeBeside(target, path => this.job('write', { ...args, path }, options))
    } else if ('write' in target) {
      const { writeToStream } = await import('./pipe.js') // loads what few calls need
      // A stream cannot hold an integrity table, whether or not the file this WIM comes from has one
      const flags = writeFlags({ ...options, integrityTable: options.integrityTable ?? false })
      await writeToStream(target, fd => this.job('writeToFd', { ...args, flags, fd }, options), options.signal)
    } else {
      await this.job('writeToFd', { ...args, fd: target.fd }, options)
    }
  }

  /**
   * Writes the changes to the file this WIM was opened from: what is new is appended, or with `rebuild` all is written anew
   * beside it and renamed. Appending that is interrupted leaves the file as it was. Afterwards this stands for the new file;
   * what {@link referenceFiles} named is to be named again.
   */
  async overwrite(options: OverwriteOptions = {}): Promise<void> {
    const [flags, threads, level] = [writeFlags(options), checkedThreads(options.threads), checkedLevel(options.level)]
    const job = this.job('overwrite', { flags, threads, level }, options)
    // A file that is being changed in place must not be left in the middle: closing waits.
    this.changing = this.queue.idle
    this.replace(await job)
  }

  /**
   * Extracts an image into the directory `target`, which is made if it does not exist, or all images into directories named
   * after them. Nothing is written outside `target`: an image whose names or links say so is refused with WIM_CORRUPT.
   */
  async extract(image: ImageNumber, target: string, options: ExtractOptions = {}): Promise<void> {
    await this.job('extract', { image: imageNumber(image), target, flags: extractFlags(options) }, options)
  }

  /** Extracts files and directories of an image, at their paths below `target`. Throws FILE_NOT_FOUND. */
  async extractPaths(
    image: number,
    paths: readonly string[],
    target: string,
    options: ExtractPathsOptions = {},
  ): Promise<void> {
    await this.job('extractPaths', { image: imageNumber(image), paths, target, flags: extractFlags(options) }, options)
  }

  /** {@link extractPaths} of what the text file `list` names, one a line; `;` and `#` begin comments. */
  async extractPathList(image: number, list: string, target: string, options: ExtractPathsOptions = {}): Promise<void> {
    await this.job(
      'extractPathList',
      { image: imageNumber(image), list, target, flags: extractFlags(options) },
      options,
    )
  }

  /**
   * Writes the WIM as parts of at most `partSize` bytes each, but for a blob that is larger: `path` (`x.swm`), then `x2.swm` …
   * All parts get their names when the last is whole. Throws UNSUPPORTED for solid resources.
   */
  async split(path: string, partSize: number, options: SplitOptions = {}): Promise<void> {
    await splitBeside(path, options.partName, partName =>
      this.job('split', { path, partSize, flags: writeFlags(options) }, { ...options, partName }),
    )
  }
}
