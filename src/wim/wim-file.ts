/** A WIM archive: its images, files and blobs, and everything that libwim can do with it. */
import { join } from 'node:path'
import { StowageError } from '../errors.js'
import { WimArchive } from './wim-archive.js'
import type { NativeArguments, NativeWimFile } from './addon.js'
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
import type { MissingFile } from './missing.js'
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
  JobOptions,
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
 * Opens a WIM, or a split WIM by any of its parts, which must be in the same directory. Throws FILE_NOT_FOUND,
 * NOT_A_WIM, WIM_CORRUPT, WIM_PART_MISSING, UNSUPPORTED, PERMISSION_DENIED or ADDON_MISSING. The caller closes it:
 * `await using wim = await openWim(path)`.
 */
export async function openWim(path: string, options: OpenOptions = {}): Promise<WimFile> {
  const parts = await partsOf(path)
  const native = await startJob('open', { paths: parts, flags: openFlags(options) }, path, options).result
  const wim = new WimFile(native as NativeWimFile) // the result of `open`
  wim.images() // throws if the XML data is damaged
  return wim
}

/** Creates a WIM in memory, which {@link WimFile.write} writes with `compression`, by default LZX. */
export async function createWim({
  compression = 'lzx',
}: { readonly compression?: WimCompressionType | undefined } = {}): Promise<WimFile> {
  const native = await startJob('create', { compression: compressionNumber(compression) }, 'a new WIM').result
  return new WimFile(native as NativeWimFile) // the result of `create`
}

/**
 * An open WIM. Made by {@link openWim} and {@link createWim}.
 *
 * Changes are made in memory, and written to a file by {@link write} or {@link overwrite}. Calls may overlap: libwim
 * executes them in order. All throw INVALID_ARGUMENT once the WIM is closed, ABORTED if `signal` aborts, and otherwise
 * a StowageError whose `cause` is libwim's error, a {@link WimlibError}.
 */
export class WimFile extends WimArchive {
  /** Sets a property, or removes it if `value` is undefined. Throws if another image already has the name. */
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
    return (await this.settled()).images.some(image => image.name === name)
  }

  /** Adds an image without files, and returns its number. */
  async addEmptyImage(name?: string): Promise<number> {
    return (await this.job('addEmptyImage', { name })) as number // its result
  }

  /**
   * Captures directories, files or an NTFS volume as a new image, and returns its number. Files are read again when the
   * WIM is written, so they must not change until then.
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
    )) as number // its result
  }

  /** Adds a directory, a file or an NTFS volume to an image, at the path `target`. */
  async addTree(image: number, source: string, target: string, options: AddOptions = {}): Promise<void> {
    // libwim's function of this name does not accept a configuration file
    await this.update(image, [{ ...options, type: 'add', source, target }], options)
  }

  /** Adds, deletes and renames files. If a command fails, none has an effect. */
  async update(image: number, commands: readonly UpdateCommand[], options: UpdateOptions = {}): Promise<void> {
    const packed = packCommands(commands, options)
    await this.job('update', { image: imageNumber(image), commands: packed, flags: updateFlags(options) }, options)
  }

  async deletePath(image: number, path: string, options: DeleteOptions = {}): Promise<void> {
    await this.job('deletePath', { image: imageNumber(image), path, flags: deleteFlags(options) })
  }

  /**
   * Deletes the files with content that is missing, so that the others can be extracted, and returns them: those of
   * {@link missingFiles}, under each of their names. Throws BLOB_MISSING, and deletes nothing, if a directory has a data
   * stream that is missing.
   */
  async deleteMissing(image: ImageNumber, options: JobOptions = {}): Promise<readonly MissingFile[]> {
    const files = await this.missingFiles(image, options)
    const directory = files.find(file => file.directory)
    if (directory) {
      throw new StowageError('BLOB_MISSING', `a data stream of ${directory.path} is not in ${this.name}`, {
        hint: 'It is a directory, which cannot be left out. Name the WIM files that contain the stream with --ref.',
      })
    }
    for (const number of new Set(files.map(file => file.image))) {
      const own = files.filter(file => file.image === number)
      await this.update(
        number,
        own.map(({ path }) => ({ type: 'delete', path })),
        options,
      )
    }
    return files
  }

  async renamePath(image: number, source: string, target: string): Promise<void> {
    await this.job('renamePath', { image: imageNumber(image), source, target })
  }

  /** Deletes an image. Later images move up by one. Its blobs remain in the file until that is rebuilt. */
  async deleteImage(image: ImageNumber): Promise<void> {
    await this.job('deleteImage', { image: imageNumber(image) })
  }

  /** Adds an image, or all images, to another open WIM, which reads the blobs from this one when it is written. */
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

  /** Adds other WIM files that contain blobs of this one: the base of a delta WIM, or parts of a split WIM. */
  async referenceFiles(paths: readonly string[], options: ReferenceOptions = {}): Promise<void> {
    const args = {
      paths,
      flags: referenceFlags(options),
      openFlags: openFlags({ checkIntegrity: options.checkIntegrity }),
    }
    this.replace(await this.job('reference', args, options))
  }

  /** Adds other open WIMs that contain blobs of this one. They must stay open until this one is written. */
  async referenceResources(wims: readonly WimFile[]): Promise<void> {
    await this.job('referenceWims', { wims: wims.map(wim => wim.openNative()) }, {}, wims)
  }

  /** Avoids reading files of the newly captured `image` that have not changed since `templateImage`. */
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

  /** Sets the compression of the next write. Throws INVALID_ARGUMENT for a chunk size that it does not support. */
  async setOutput(options: OutputOptions): Promise<void> {
    await this.job('setOutput', packOutput(options))
  }

  /**
   * Writes the WIM, or one image of it. A file is replaced atomically. Only a pipable WIM can be written to a stream,
   * or to a descriptor that cannot seek. A stream is ended; a descriptor stays open.
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
      const { writeToStream } = await import('./pipe.js') // few calls need it
      // A stream cannot have an integrity table, even if the file that was opened has one
      const flags = writeFlags({ ...options, integrityTable: options.integrityTable ?? false })
      await writeToStream(target, fd => this.#writeToDescriptor(fd, { ...args, flags }, options), options.signal)
    } else {
      await this.#writeToDescriptor(target.fd, args, options)
    }
  }

  /** By way of a temporary file if an older libwim writes something that has to be put right: see `native/wim/mend.h`. */
  async #writeToDescriptor(fd: number, args: NativeArguments, options: WriteOptions): Promise<void> {
    if (!(await this.job('needsMending', { ...args, fd }))) {
      await this.job('writeToFd', { ...args, fd }, options)
      return
    }
    const { Workspace } = await import('../blob/workspace.js') // few calls need it
    await using workspace = new Workspace()
    const path = join(await workspace.path(), 'written.wim')
    await this.job('write', { ...args, path, unmended: true }, options)
    await this.job('sendMended', { ...args, path, fd }, options)
  }

  /**
   * Writes the changes to the file that was opened: appends new data or, with `rebuild`, writes a new file and renames
   * it. If appending is interrupted, the file is unchanged. Afterwards this object refers to the new file, and {@link
   * referenceFiles} must be called again.
   */
  async overwrite(options: OverwriteOptions = {}): Promise<void> {
    const [flags, threads, level] = [writeFlags(options), checkedThreads(options.threads), checkedLevel(options.level)]
    const job = this.job('overwrite', { flags, threads, level }, options)
    // Closing must wait while a file is being changed in place
    this.changing = this.queue.idle
    this.replace(await job)
  }

  /**
   * Extracts an image to the directory `target`, which is created if it does not exist, or all images to directories
   * named after them. Nothing is written outside `target`: an image with names or links that lead outside is rejected
   * with WIM_CORRUPT.
   */
  async extract(image: ImageNumber, target: string, options: ExtractOptions = {}): Promise<void> {
    await this.#extractWith('extract', image, { target }, options)
  }

  /** Extracts files and directories of an image to their paths below `target`. Throws FILE_NOT_FOUND. */
  async extractPaths(
    image: number,
    paths: readonly string[],
    target: string,
    options: ExtractPathsOptions = {},
  ): Promise<void> {
    await this.#extractWith('extractPaths', image, { paths, target }, options)
  }

  /** Calls {@link extractPaths} for the paths in the text file `list`, one per line; `;` and `#` begin comments. */
  async extractPathList(image: number, list: string, target: string, options: ExtractPathsOptions = {}): Promise<void> {
    await this.#extractWith('extractPathList', image, { list, target }, options)
  }

  async #extractWith(
    operation: string,
    image: ImageNumber,
    args: NativeArguments,
    options: ExtractPathsOptions,
  ): Promise<void> {
    // Our own extractor, which works where nothing can have changed, takes the names of the images from here
    const names = this.images().map(({ name }) => name)
    await this.job(operation, { ...args, image: imageNumber(image), names, flags: extractFlags(options) }, options)
  }

  /**
   * Writes the WIM as parts of at most `partSize` bytes each, unless a blob is larger: `path` (`x.swm`), then `x2.swm`
   * … All parts get their names when the last one is complete. Throws UNSUPPORTED for solid resources.
   */
  async split(path: string, partSize: number, options: SplitOptions = {}): Promise<void> {
    const flags = writeFlags(options)
    await splitBeside(path, options.partName, async partName => {
      const parts: string[] = []
      const named: SplitOptions['partName'] = async part => {
        const name = (await partName?.(part)) ?? part.path
        parts.push(name)
        return name
      }
      await this.job('split', { path, partSize, flags }, { ...options, partName: named })
      for (const part of parts) await this.job('mend', { path: part, flags }, { signal: options.signal })
    })
  }
}
