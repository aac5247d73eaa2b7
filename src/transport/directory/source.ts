/** `dir:PATH`: a tree of files as a one-layer Linux image, or a directory that skopeo's own `dir:` wrote, unchanged. */
import { createReadStream } from 'node:fs'
import { open, readFile, realpath, stat } from 'node:fs/promises'
import { basename, join, resolve, sep } from 'node:path'
import { readVerified } from '../../blob/verified.js'
import type { BlobStage, BlobStore, Bytes, FetchOptions } from '../../blob/blob-store.js'
import { abortError, fileError, StowageError, systemCode } from '../../errors.js'
import {
  type DirectoryLayer,
  layerFromDirectory,
  type LayerFromDirectoryOptions,
} from '../../layer/make/from-directory.js'
import { type Descriptor, describe } from '../../oci/descriptor.js'
import { hexOf } from '../../oci/digest.js'
import { LAYOUT_FILE } from '../../oci/layout.js'
import { MANIFEST_LIMIT, parseManifest } from '../../oci/manifest.js'
import { isIndex, isManifest } from '../../oci/media-type.js'
import { parsePlatformSelector, type Platform } from '../../oci/platform.js'
import { nameMadeOf, type Reference } from '../../oci/reference.js'
import { sourceDateEpoch } from '../../tar/source-date-epoch.js'
import type { ImageSource, SourceImage } from '../../image/image-source.js'
import { MadeImage } from '../../image/made-image.js'

export interface DirectorySourceOptions extends Omit<LayerFromDirectoryOptions, 'skipUnsupported'> {
  /**
   * The image's name; defaults to the name of the directory for a tree, and to none for a directory that skopeo wrote.
   */
  readonly name?: Reference | undefined
  /**
   * The one platform of the image of a tree, `os[/arch[/variant]]`; defaults to Linux on this machine's architecture.
   */
  readonly platforms?: readonly string[] | undefined
  /** Leave out sockets instead of failing, and pass their paths to `onSkipped`. */
  readonly skipUnsupported?: boolean | undefined
  readonly onSkipped?: ((paths: readonly string[]) => void) | undefined
  /** Where to write the layer of a tree: once, to its final location. */
  readonly stage: BlobStage
}

const VERSION_FILE = 'version'
const VERSION_LINE = /^Directory Transport Version: (\d+)\.(\d+)\s*$/
const MANIFEST_FILE = 'manifest.json'
const PIECE = 1024 * 1024

/** Whether skopeo's `dir:` wrote the directory `path`. Throws UNSUPPORTED for an unknown version of its format. */
export async function isSkopeoDirectory(path: string): Promise<boolean> {
  const line = await startOf(join(path, VERSION_FILE)).catch((error: unknown) => {
    throw fileError(error, path)
  })
  const version = VERSION_LINE.exec(line)
  if (!version) return false
  if (version[1] === '1') return true
  throw new StowageError('UNSUPPORTED', `${path}: expected version 1 of skopeo's directories but found ${line.trim()}`)
}

/**
 * Opens the directory `path`. The layer of a tree is created by {@link layerFromDirectory} when the image is requested,
 * and goes to the stage; the same tree gives the same image. Throws FILE_NOT_FOUND, INVALID_ARGUMENT for anything but a
 * directory, and for a layout or a bundle, which have their own transports; UNSUPPORTED, INVALID_MANIFEST; `images()`
 * also what creating the layer throws.
 */
export async function openDirectorySource(path: string, options: DirectorySourceOptions): Promise<ImageSource> {
  try {
    if (await holdsTree(path)) return openTree(path, options)
    return await openSkopeoDirectory(path, options)
  } catch (error) {
    throw abortError(fileError(error, path), options.signal)
  }
}

/**
 * The name and platform that the image of a tree would have, without creating it; undefined for a directory that skopeo
 * wrote. Throws what opening the directory throws.
 */
export async function describeTree(
  path: string,
  { name, platforms = [] }: Pick<DirectorySourceOptions, 'name' | 'platforms'> = {},
): Promise<{ readonly name: Reference | undefined; readonly platform: Platform } | undefined> {
  try {
    return (await holdsTree(path))
      ? { name: name ?? nameMadeOf(basename(resolve(path))), platform: platformFor(path, platforms) }
      : undefined
  } catch (error) {
    throw fileError(error, path)
  }
}

async function holdsTree(path: string): Promise<boolean> {
  if (!(await stat(path)).isDirectory()) {
    throw new StowageError('INVALID_ARGUMENT', `${path} is not a directory`, {
      hint: `A file is named docker-archive:${path} or oci-archive:${path}.`,
    })
  }
  if (await isSkopeoDirectory(path)) return false
  for (const [mark, transport] of [
    ['bundle.json', 'bundle'],
    [LAYOUT_FILE, 'oci'],
  ] as const) {
    if (!(await isThere(join(path, mark)))) continue
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${path} holds ${mark}: it already contains images, so it cannot be made into one`,
      {
        hint: `Name it ${transport}:${path}.`,
      },
    )
  }
  return true
}

function openTree(path: string, options: DirectorySourceOptions): ImageSource {
  const made = new MadeImage(path)
  let image: Promise<SourceImage> | undefined
  return {
    images: async () => [await (image ??= makeImage(path, made, options))],
    has: async blob => await made.has(blob),
    fetch: blob => made.fetch(blob),
    async [Symbol.asyncDispose]() {},
  }
}

async function makeImage(
  path: string,
  made: MadeImage,
  { name, platforms = [], stage, onSkipped, ...options }: DirectorySourceOptions,
): Promise<SourceImage> {
  const { epoch = sourceDateEpoch() } = options
  const reference = name ?? nameMadeOf(basename(resolve(path))) ?? nameless(path)
  const platform = platformFor(path, platforms)
  const layer = await stage.create(async target => {
    await refuseInside(path, target.path)
    return await layerFromDirectory(path, target, { ...options, epoch })
  })
  if (layer.skipped.length > 0) onSkipped?.(layer.skipped)
  return { root: { ...made.make(configOf(layer, platform, epoch), [layer]), platform }, names: [reference] }
}

/** Source: OCI image-spec, config.md. It does not depend on where or when it is created. */
function configOf({ diffId }: DirectoryLayer, platform: Platform, epoch: number | undefined): unknown {
  const created = epoch === undefined ? {} : { created: new Date(epoch * 1000).toISOString() }
  return {
    ...created,
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant ? { variant: platform.variant } : {}),
    config: {},
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ ...created, created_by: 'stowage dir' }],
  }
}

/** A layer that is written into the tree it is made from would contain itself. */
async function refuseInside(path: string, target: string): Promise<void> {
  const [tree, file] = [await realpath(path), await realpath(target)]
  if (!file.startsWith(tree.endsWith(sep) ? tree : `${tree}${sep}`)) return
  throw new StowageError('INVALID_ARGUMENT', `the output is inside ${path} and would become part of itself`, {
    hint: 'Name an output outside it.',
  })
}

function nameless(path: string): never {
  throw new StowageError('INVALID_REFERENCE', `cannot derive an image name from the directory ${path}`, {
    hint: 'Name it with --tag.',
  })
}

/** Throws INVALID_ARGUMENT for several, and for what is not a platform; UNSUPPORTED for one that is not Linux. */
function platformFor(path: string, platforms: readonly string[]): Platform {
  if (platforms.length > 1) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `an image made from the directory ${path} is for one platform, not for ${platforms.length}`,
    )
  }
  const {
    os = 'linux',
    architecture = architectureOf(process.arch),
    variant,
  } = platforms.map(parsePlatformSelector)[0] ?? {}
  if (os === 'linux') return { os, architecture, ...(variant ? { variant } : {}) }
  throw new StowageError('UNSUPPORTED', `${path}: an image made from a directory is for Linux, not for ${os}`, {
    hint: 'Capture a Windows directory as a WIM (stowage wim capture), and name that as wim:FILE.',
  })
}

/** Go's name for the architecture, which OCI uses. */
function architectureOf(arch: string): string {
  return { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' }[arch] ?? arch
}

/**
 * Source: containers/image, directory transport: `manifest.json`, blobs named by their hex digits, and the manifests of
 * an index as `<hex>.manifest.json`.
 */
async function openSkopeoDirectory(path: string, { name, signal }: DirectorySourceOptions): Promise<ImageSource> {
  const file = join(path, MANIFEST_FILE)
  const { size } = await stat(file).catch((error: unknown) => {
    throw fileError(error, file)
  })
  if (size > MANIFEST_LIMIT)
    throw new StowageError('INVALID_MANIFEST', `${file} has ${size} bytes; the limit is ${MANIFEST_LIMIT}`)
  const bytes = await readFile(file, { signal })
  const root = describe(parseManifest(bytes, file).mediaType, bytes)
  const store = skopeoBlobs(path, root.digest)
  await readVerified(root, store.fetch(root), MANIFEST_LIMIT)
  return {
    images: async () => [{ root, names: name ? [name] : [] }],
    ...store,
    async [Symbol.asyncDispose]() {},
  }
}

function skopeoBlobs(path: string, root: string): Pick<BlobStore, 'has' | 'fetch'> {
  const fileOf = ({ digest, mediaType }: Descriptor): string => {
    if (digest === root) return join(path, MANIFEST_FILE)
    return join(path, isIndex(mediaType) || isManifest(mediaType) ? `${hexOf(digest)}.manifest.json` : hexOf(digest))
  }
  return {
    async has(blob) {
      try {
        const found = await stat(fileOf(blob))
        return found.isFile() && found.size === blob.size
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return false
        throw fileError(error, fileOf(blob))
      }
    },
    async *fetch(blob: Descriptor, { signal }: FetchOptions = {}): Bytes {
      const file = fileOf(blob)
      try {
        yield* createReadStream(file, { highWaterMark: PIECE, ...(signal ? { signal } : {}) })
      } catch (error) {
        if (systemCode(error) === 'ENOENT') {
          throw new StowageError('BLOB_MISSING', `${file} does not exist`, {
            hint: 'Not all of the image is there: copy it again (skopeo copy --all).',
            cause: error,
          })
        }
        throw abortError(fileError(error, file), signal)
      }
    },
  }
}

/** The first 64 bytes of a file; empty if there is no such file. */
async function startOf(path: string): Promise<string> {
  if (!(await isThere(path))) return ''
  const file = await open(path)
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(64), 0, 64, 0)
    return buffer.toString('latin1', 0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Whether `path` is a regular file. */
async function isThere(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
    throw error
  }
}
