/** Checks the heads of a bundle: the OCI graph below index.json, and whether the other heads agree with it. */
import { DOCKER_FILE, encodeDockerManifest, engineNames, type NamedImage } from '../archive/heads.js'
import type { BlobStore } from '../blob/blob-store.js'
import { DocumentBudget, type ImageContent, readImage } from '../blob/closure.js'
import { rootEntry, withStripped } from '../blob/stripped.js'
import { StowageError } from '../errors.js'
import { groupByRoot } from '../image/selection.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { fields, LIST_VALUE_LIMIT, parseJson, shown } from '../oci/json.js'
import { absentOf, blobPath, INDEX_FILE, LAYOUT_FILE, nameOf, originalOf, parseLayoutIndex } from '../oci/layout.js'
import { formatReference, parseReference } from '../oci/reference.js'
import { type BundleAssumption, DELTA_DOCKER_MANIFEST, expectBundleLayout } from './delta.js'
import type { BundleFile } from './files.js'
import { type ImageLayer, layersToCheck } from './layer-comparison.js'
import { BUNDLE_FILE, type BundleImage, type BundleManifest, describeImage } from './manifest.js'

/** What can be wrong with a bundle. Codes are API: they may be added, never renamed. */
export type FindingCode =
  | 'INCOMPLETE'
  | 'INVALID_TAR'
  | 'INVALID_MANIFEST'
  | 'FILE_MISSING'
  | 'FILE_EXTRA'
  | 'NOT_A_FILE'
  | 'UNREADABLE'
  | 'MEDIUM_FAILED'
  | 'SIZE_MISMATCH'
  | 'DIGEST_MISMATCH'
  | 'DIFF_ID_MISMATCH'
  | 'BLOB_MISSING'
  | 'LISTS_DIFFER'
  | 'IMAGES_DIFFER'
  | 'BASE_MISSING'
  | 'VOLUME_MISSING'
  | 'VOLUME_WRONG'
  | 'SIGNATURE_MISSING'
  | 'SIGNATURE_INVALID'
  | 'ROLLBACK'

/** One defect: the file, and what was expected and found. */
export interface Finding {
  readonly code: FindingCode
  readonly path: string
  readonly message: string
}

interface GraphInput {
  readonly layout: Uint8Array | undefined
  readonly index: Uint8Array | undefined
  readonly docker: Uint8Array | undefined
  readonly manifest: BundleManifest | undefined
  readonly files: ReadonlyMap<string, BundleFile>
  /** Reads a small file. */
  readonly read: (path: string, limit: number) => Promise<Uint8Array>
  /** Called with each layer of a platform, once for every image that has it. */
  readonly layer: (layer: ImageLayer) => void
  /** Called with each defect. */
  readonly find: (code: FindingCode, path: string, message: string) => void
}

const READ_LIMIT = 16 * 1024 * 1024

/**
 * Walks from index.json to every layer. Returns the paths of all blobs that the images reach; undefined if an image could
 * not be read, so that the caller does not report the blobs of that image as extra.
 */
export async function verifyGraph(input: GraphInput): Promise<ReadonlySet<string> | undefined> {
  return await new GraphCheck(input).run()
}

/** What all images of a bundle may have together: enough for 10,000 of two platforms. */
const LIMITS = { size: 512 * 1024 * 1024, references: 1_000_000 }

class GraphCheck {
  readonly #input: GraphInput
  readonly #budget = new DocumentBudget('the images of the bundle', LIMITS)
  /** Sizes of the layers that a delta leaves out. */
  readonly #leftOut: ReadonlyMap<Digest, number>

  constructor(input: GraphInput) {
    this.#input = input
    this.#leftOut = new Map(input.manifest?.assumes?.layers.map(({ digest, size }) => [digest, size]))
  }

  async run(): Promise<ReadonlySet<string> | undefined> {
    const { layout, index } = this.#input
    const delta = this.#input.manifest?.assumes !== undefined
    this.#attempt(LAYOUT_FILE, () => layout && expectBundleLayout(layout, delta))
    const entries = this.#attempt(INDEX_FILE, () => index && parseLayoutIndex(index, INDEX_FILE))
    return entries && (await this.#checkEntries(entries))
  }

  /** The paths of all blobs that the images in index.json reach; undefined if an image could not be read. */
  async #checkEntries(entries: readonly Descriptor[]): Promise<ReadonlySet<string> | undefined> {
    const roots = groupByRoot(entries.map(entry => ({ root: entry, name: nameOf(entry) })))
    const byDigest = new Map(roots.map(({ root }) => [root.digest, root]))
    for (const { digest, size, mediaType } of entries) {
      const root = byDigest.get(digest)
      if (root?.size === size && root.mediaType === mediaType) continue
      const message = `${digest} is listed twice with different details: ${size} bytes of ${mediaType}`
      this.#find('INVALID_MANIFEST', INDEX_FILE, message)
    }
    const { manifest } = this.#input
    const described = manifest && new Map(manifest.images.map(image => [image.root.digest, image]))
    const docker = new DockerEntries()
    const blobs = new Set<string>()
    let whole = true
    // Nothing is kept of an image but its paths and its entry for docker: a bundle may have thousands
    for (const { root, names } of roots) {
      const image = await this.#readRoot(root)
      if (!image) {
        whole = false
        continue
      }
      this.#checkLayers(image)
      for (const layer of layersToCheck(image)) this.#input.layer(layer)
      docker.add(encodeDockerManifest([{ image, names }]))
      if (described) this.#checkImage({ image, names, listed: root.digest }, described.get(root.digest))
      for (const path of [...pathsOf(image), blobPath(root.digest)]) blobs.add(path)
    }
    for (const digest of described?.keys() ?? []) {
      if (!byDigest.has(digest)) this.#find('IMAGES_DIFFER', BUNDLE_FILE, `its image ${digest} is not in ${INDEX_FILE}`)
    }
    if (!whole) return undefined
    const assumes = manifest?.assumes
    this.#checkDocker(assumes ? new DockerEntries().add(DELTA_DOCKER_MANIFEST) : docker)
    if (assumes) this.#checkAssumption(assumes, blobs)
    return blobs
  }

  /**
   * The image that an entry of index.json lists. If the entry replaces a sparse index, that index and everything below
   * it that the bundle has.
   */
  async #readRoot({ annotations, platform: _platform, ...root }: Descriptor): Promise<ImageContent | undefined> {
    const original = originalOf({ annotations })
    const [store, budget] = [storeOf(this.#input), this.#budget]
    try {
      const image = await readImage(store, original ?? root, { absent: absentOf({ annotations }), budget })
      if (!original) return image
      const whole = withStripped(image)
      if (rootEntry(whole).digest === root.digest) {
        await readImage(store, root, { budget })
        return whole
      }
      const message = `${root.digest} is not what remains of ${original.digest} without its absent manifests`
      this.#find('IMAGES_DIFFER', INDEX_FILE, message)
      return undefined
    } catch (error) {
      if (!(error instanceof StowageError) || error.code === 'ABORTED') throw error
      const code =
        error.code === 'BLOB_MISSING' ||
        error.code === 'SIZE_MISMATCH' ||
        error.code === 'DIGEST_MISMATCH' ||
        error.code === 'MEDIUM_FAILED'
          ? error.code
          : 'INVALID_MANIFEST'
      this.#find(code, blobPath(root.digest), `the image cannot be read: ${error.message}`)
      return undefined
    }
  }

  #checkLayers({ root, layers }: ImageContent): void {
    for (const layer of layers) {
      const path = blobPath(layer.digest)
      const file = this.#input.files.get(path)
      if (!file && this.#leftOut.get(layer.digest) === layer.size) continue
      if (!file) this.#find('BLOB_MISSING', path, `image ${root.digest} needs this blob of ${layer.size} bytes`)
      else if (file.type === 'file' && file.size !== layer.size) {
        this.#find('SIZE_MISMATCH', path, `image ${root.digest} says ${layer.size} bytes but the file has ${file.size}`)
      }
    }
  }

  /** Docker's list must have the same configs, layers and tags: engines with graphdrivers read only this list. */
  #checkDocker(expected: DockerEntries): void {
    const { docker } = this.#input
    const found = this.#attempt(DOCKER_FILE, () => docker && new DockerEntries().add(docker))
    if (!found) return
    for (const config of expected.configs) {
      const [ours, theirs] = [found.of(config), expected.of(config)]
      if (ours === undefined) this.#find('IMAGES_DIFFER', DOCKER_FILE, `there is no entry for the image with ${config}`)
      else if (ours !== theirs) {
        const message = `the entry of ${config} is ${ours}, but ${INDEX_FILE} refers to ${theirs}`
        this.#find('IMAGES_DIFFER', DOCKER_FILE, message)
      }
    }
    for (const config of found.configs) {
      if (expected.of(config) === undefined)
        this.#find('IMAGES_DIFFER', DOCKER_FILE, `the entry of ${config} belongs to no image in ${INDEX_FILE}`)
    }
  }

  /** A delta leaves out only layers that its images have, and that it does not have itself. */
  #checkAssumption({ layers }: BundleAssumption, blobs: ReadonlySet<string>): void {
    for (const { digest } of layers) {
      const path = blobPath(digest)
      if (!blobs.has(path)) this.#find('IMAGES_DIFFER', BUNDLE_FILE, `it leaves out ${digest}, which no image has`)
      else if (this.#input.files.has(path))
        this.#find('IMAGES_DIFFER', BUNDLE_FILE, `it leaves out ${digest}, which the bundle has`)
    }
  }

  /** Compares an image of index.json with what bundle.json says about it. */
  #checkImage({ image, names, listed }: NamedImage & { readonly listed: Digest }, own: BundleImage | undefined): void {
    if (!own) {
      this.#find('IMAGES_DIFFER', BUNDLE_FILE, `it does not list the image ${listed} of ${INDEX_FILE}`)
      return
    }
    const references = own.names.map(parseReference)
    const [ours, theirs] = [engineNames(references), engineNames(names)].map(list =>
      list.map(formatReference).sort().join(' '),
    )
    if (ours !== theirs) {
      const message = `${listed} is named ${ours || 'nothing'}, but ${theirs || 'nothing'} in ${INDEX_FILE}`
      this.#find('IMAGES_DIFFER', BUNDLE_FILE, message)
    }
    const sparse = listed === image.root.digest ? 'keep' : undefined
    // What was left behind can only be believed: the bundle does not have it
    const derived = describeImage(image, references, sparse, own.undelivered)
    if (JSON.stringify(derived) !== JSON.stringify(own)) {
      const message = `what it says about ${listed} (size, platforms, layers) differs from the image's manifests`
      this.#find('IMAGES_DIFFER', BUNDLE_FILE, message)
    }
  }

  #attempt<T>(path: string, parse: () => T): T | undefined {
    try {
      return parse()
    } catch (error) {
      if (!(error instanceof StowageError)) throw error
      this.#find('INVALID_MANIFEST', path, error.message)
      return undefined
    }
  }

  #find(code: FindingCode, path: string, message: string): void {
    this.#input.find(code, path, message)
  }
}

function storeOf({ files, read }: GraphInput): BlobStore {
  return {
    has: async blob => files.get(blobPath(blob.digest))?.size === blob.size,
    async *fetch(blob) {
      const path = blobPath(blob.digest)
      const file = files.get(path)
      if (file?.type !== 'file') throw new StowageError('BLOB_MISSING', `${path} is not in the bundle`)
      if (file.size !== blob.size) {
        throw new StowageError('SIZE_MISMATCH', `expected ${blob.size} bytes for ${path} but found ${file.size}`)
      }
      yield await read(path, READ_LIMIT)
    },
  }
}

function pathsOf(image: ImageContent): readonly string[] {
  const documents = [...image.manifests, ...image.configs].map(({ descriptor }) => descriptor)
  return [...documents, ...image.layers].map(({ digest }) => blobPath(digest))
}

/** The entries of docker's list by config, each as text: texts are equal if the entries are equivalent. */
class DockerEntries {
  readonly #entries = new Map<string, string[]>()

  get configs(): Iterable<string> {
    return this.#entries.keys()
  }

  /** The entry of `config`; one that is listed several times is all of them. */
  of(config: string): string | undefined {
    return this.#entries.get(config)?.sort().join(' and ')
  }

  /** Adds a list. Throws INVALID_MANIFEST. */
  add(bytes: Uint8Array): this {
    const list = parseJson(bytes, DOCKER_FILE, LIST_VALUE_LIMIT)
    if (!Array.isArray(list)) throw new StowageError('INVALID_MANIFEST', `${DOCKER_FILE}: expected an array`)
    list.forEach((item: unknown, n) => {
      const where = `${DOCKER_FILE}[${n}]`
      const entry = fields(item, where)
      const tags = strings(entry['RepoTags'] ?? [], `${where}.RepoTags`)
      const layers = strings(entry['Layers'], `${where}.Layers`)
      const [config = ''] = strings([entry['Config']], `${where}.Config`)
      const text = `tags ${[...tags].sort().join(' ')}, layers ${layers.join(' ')}`
      const before = this.#entries.get(config)
      if (before) before.push(text)
      else this.#entries.set(config, [text])
    })
    return this
  }
}

function strings(value: unknown, where: string): readonly string[] {
  if (Array.isArray(value) && value.every(item => typeof item === 'string')) return value
  throw new StowageError('INVALID_MANIFEST', `${where}: expected strings but found ${shown(value)}`)
}
