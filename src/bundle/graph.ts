/** Checks the heads of a bundle: the OCI graph below index.json, and whether the other heads agree with it. */
import { DOCKER_FILE, encodeDockerManifest, engineNames, type NamedImage } from '../archive/heads.js'
import type { BlobStore } from '../blob/blob-store.js'
import { type ImageContent, readImage } from '../blob/closure.js'
import { rootEntry, withStripped } from '../blob/stripped.js'
import { StowageError } from '../errors.js'
import { groupByRoot } from '../image/selection.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { fields, parseJson, record, shown, string } from '../oci/json.js'
import { absentOf, blobPath, INDEX_FILE, LAYOUT_FILE, nameOf, originalOf, parseLayoutIndex } from '../oci/layout.js'
import { formatReference, parseReference } from '../oci/reference.js'
import type { BundleFile } from './files.js'
import { BUNDLE_FILE, type BundleManifest, describeImage } from './manifest.js'

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
  | 'BLOB_MISSING'
  | 'LISTS_DIFFER'
  | 'IMAGES_DIFFER'
  | 'VOLUME_MISSING'
  | 'VOLUME_WRONG'

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
}

const READ_LIMIT = 16 * 1024 * 1024

/**
 * Walks from index.json to every layer. `blobs` has the paths of all blobs that the images reach. It is undefined if an
 * image could not be read, so that the caller does not report the blobs of that image as extra.
 */
export async function verifyGraph(input: GraphInput): Promise<GraphReport> {
  return await new GraphCheck(input).run()
}

interface ListedImage extends NamedImage {
  /** Its digest in index.json: that of its root, or of what replaces a sparse index. */
  readonly listed: Digest
}

interface GraphReport {
  readonly findings: readonly Finding[]
  readonly blobs: ReadonlySet<string> | undefined
}

class GraphCheck {
  readonly #input: GraphInput
  readonly #findings: Finding[] = []

  constructor(input: GraphInput) {
    this.#input = input
  }

  async run(): Promise<GraphReport> {
    const { layout, index } = this.#input
    this.#attempt(LAYOUT_FILE, () => layout && checkLayout(layout))
    const entries = this.#attempt(INDEX_FILE, () => index && parseLayoutIndex(index, INDEX_FILE))
    return { findings: this.#findings, blobs: entries && (await this.#checkEntries(entries)) }
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
    const images: ListedImage[] = []
    for (const { root, names } of roots) {
      const image = await this.#readRoot(root)
      if (image) images.push({ image, names, listed: root.digest })
    }
    for (const { image } of images) this.#checkLayers(image)
    if (images.length < roots.length) return undefined
    this.#checkDocker(images)
    this.#checkImages(images)
    return new Set(images.flatMap(({ image, listed }) => [...pathsOf(image), blobPath(listed)]))
  }

  /**
   * The image that an entry of index.json lists. If the entry replaces a sparse index, that index and everything below
   * it that the bundle has.
   */
  async #readRoot({ annotations, platform: _platform, ...root }: Descriptor): Promise<ImageContent | undefined> {
    const original = originalOf({ annotations })
    try {
      const image = await readImage(storeOf(this.#input), original ?? root, { absent: absentOf({ annotations }) })
      if (!original) return image
      const whole = withStripped(image)
      if (rootEntry(whole).digest === root.digest) {
        await readImage(storeOf(this.#input), root)
        return whole
      }
      const message = `${root.digest} is not what remains of ${original.digest} without its absent manifests`
      this.#find('IMAGES_DIFFER', INDEX_FILE, message)
      return undefined
    } catch (error) {
      if (!(error instanceof StowageError) || error.code === 'ABORTED') throw error
      const code =
        error.code === 'BLOB_MISSING' || error.code === 'SIZE_MISMATCH' || error.code === 'DIGEST_MISMATCH'
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
      if (!file) this.#find('BLOB_MISSING', path, `image ${root.digest} needs this blob of ${layer.size} bytes`)
      else if (file.type === 'file' && file.size !== layer.size) {
        this.#find('SIZE_MISMATCH', path, `image ${root.digest} says ${layer.size} bytes but the file has ${file.size}`)
      }
    }
  }

  /** Docker's list must have the same configs, layers and tags: engines with graphdrivers read only this list. */
  #checkDocker(named: readonly NamedImage[]): void {
    const found = this.#attempt(DOCKER_FILE, () => this.#input.docker && dockerEntries(this.#input.docker))
    if (!found) return
    const expected = dockerEntries(encodeDockerManifest(named))
    for (const [config, entry] of expected) {
      const other = found.get(config)
      if (other === undefined)
        this.#find('IMAGES_DIFFER', DOCKER_FILE, `there is no entry for the image with ${config}`)
      else if (other !== entry) {
        this.#find(
          'IMAGES_DIFFER',
          DOCKER_FILE,
          `the entry of ${config} is ${other}, but ${INDEX_FILE} refers to ${entry}`,
        )
      }
    }
    for (const config of found.keys()) {
      if (!expected.has(config))
        this.#find('IMAGES_DIFFER', DOCKER_FILE, `the entry of ${config} belongs to no image in ${INDEX_FILE}`)
    }
  }

  #checkImages(named: readonly ListedImage[]): void {
    const { manifest } = this.#input
    if (!manifest) return
    const described = new Map(manifest.images.map(image => [image.root.digest, image]))
    for (const { image, names, listed } of named) {
      const own = described.get(listed)
      if (!own) {
        this.#find('IMAGES_DIFFER', BUNDLE_FILE, `it does not list the image ${listed} of ${INDEX_FILE}`)
        continue
      }
      const references = own.names.map(parseReference)
      const [ours, theirs] = [engineNames(references), engineNames(names)].map(list =>
        list.map(formatReference).sort().join(' '),
      )
      if (ours !== theirs) {
        this.#find(
          'IMAGES_DIFFER',
          BUNDLE_FILE,
          `${listed} is named ${ours || 'nothing'}, but ${theirs || 'nothing'} in ${INDEX_FILE}`,
        )
      }
      const sparse = listed === image.root.digest ? 'keep' : undefined
      // What was left behind can only be believed: the bundle does not have it
      const derived = describeImage(image, references, sparse, own.undelivered)
      if (JSON.stringify(derived) !== JSON.stringify(own)) {
        this.#find(
          'IMAGES_DIFFER',
          BUNDLE_FILE,
          `what it says about ${listed} (size, platforms, layers) differs from the image's manifests`,
        )
      }
    }
    const there = new Set(named.map(({ listed }) => listed))
    for (const digest of described.keys()) {
      if (!there.has(digest)) this.#find('IMAGES_DIFFER', BUNDLE_FILE, `its image ${digest} is not in ${INDEX_FILE}`)
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
    this.#findings.push({ code, path, message })
  }
}

/** Checks the layout version, which every OCI reader requires. */
function checkLayout(bytes: Uint8Array): void {
  const version = string(record(parseJson(bytes, LAYOUT_FILE), LAYOUT_FILE), 'imageLayoutVersion', LAYOUT_FILE)
  if (version === '1.0.0') return
  throw new StowageError(
    'INVALID_MANIFEST',
    `${LAYOUT_FILE}: expected imageLayoutVersion 1.0.0 but found ${shown(version)}`,
  )
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

/** The entries of a docker manifest by config, each as text. Texts are equal if the entries are equivalent. */
function dockerEntries(bytes: Uint8Array): ReadonlyMap<string, string> {
  const list = parseJson(bytes, DOCKER_FILE)
  if (!Array.isArray(list)) throw new StowageError('INVALID_MANIFEST', `${DOCKER_FILE}: expected an array`)
  const entries = new Map<string, string>()
  list.forEach((item: unknown, n) => {
    const where = `${DOCKER_FILE}[${n}]`
    const entry = fields(item, where)
    const tags = strings(entry['RepoTags'] ?? [], `${where}.RepoTags`)
    const layers = strings(entry['Layers'], `${where}.Layers`)
    const [config] = strings([entry['Config']], `${where}.Config`)
    const text = `tags ${[...tags].sort().join(' ')}, layers ${layers.join(' ')}`
    const before = entries.get(config ?? '')
    entries.set(config ?? '', before === undefined ? text : [before, text].sort().join(' and '))
  })
  return entries
}

function strings(value: unknown, where: string): readonly string[] {
  if (Array.isArray(value) && value.every(item => typeof item === 'string')) return value
  throw new StowageError('INVALID_MANIFEST', `${where}: expected strings but found ${shown(value)}`)
}
