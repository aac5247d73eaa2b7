/**
 * Reads the images of a docker archive, whose configs and layers may have any path, and generates an OCI manifest for
 * each. Source: moby, image/spec/v1.2.
 */
import { createHash } from 'node:crypto'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import { type Compression, compressionOf, layerMediaType, MAGIC_SIZE } from '../oci/compression.js'
import { CONFIG_LIMIT, parseConfig } from '../oci/config.js'
import { type Descriptor, describe, parseDescriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { LIST_VALUE_LIMIT, optionalArray, parseJson, record, shown, string } from '../oci/json.js'
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../oci/media-type.js'
import { isReference, parseReference, type Reference } from '../oci/reference.js'
import type { ArchiveFile, ArchiveFiles } from './archive-files.js'
import { decompressed } from './compression.js'
import { DOCKER_FILE } from './heads.js'

/** One entry of `manifest.json`. */
export interface DockerEntry {
  /** Paths in the archive. */
  readonly config: string
  readonly layers: readonly string[]
  readonly names: readonly Reference[]
  /** Layers that are stored elsewhere, by diffID. */
  readonly sources: ReadonlyMap<string, Descriptor>
}

/** An image of the archive as an OCI image. */
export interface DockerImage {
  readonly root: Descriptor
  readonly manifest: Uint8Array
  readonly names: readonly Reference[]
  /** The files that hold the config and the layers. */
  readonly files: ReadonlyMap<Digest, ArchiveFile>
  readonly config: Descriptor
}

/** The entries of `manifest.json`, in order. Throws BLOB_MISSING if the file is missing, INVALID_MANIFEST. */
export async function readDockerEntries(
  archive: ArchiveFiles,
  { signal, onNotice }: FetchOptions & { readonly onNotice?: ((sentence: string) => void) | undefined } = {},
): Promise<readonly DockerEntry[]> {
  const bytes = await archive.readSmall(DOCKER_FILE, { signal })
  const list = parseJson(bytes, whereIn(archive, DOCKER_FILE), LIST_VALUE_LIMIT)
  if (!Array.isArray(list)) {
    throw new StowageError(
      'INVALID_MANIFEST',
      `${whereIn(archive, DOCKER_FILE)}: expected an array but found ${shown(list)}`,
    )
  }
  return list.map((item: unknown, n) => {
    const where = `${whereIn(archive, DOCKER_FILE)}[${n}]`
    const entry = record(item, where)
    const sources = entry['LayerSources'] ? Object.entries(record(entry['LayerSources'], `${where}.LayerSources`)) : []
    const tags = strings(entry, 'RepoTags', where)
    for (const tag of tags) {
      if (isReference(tag)) continue
      onNotice?.(
        `${archive.subject.name}: ${JSON.stringify(tag)} cannot be the name of an image: give it another with --tag`,
      )
    }
    return {
      config: string(entry, 'Config', where),
      layers: strings(entry, 'Layers', where),
      names: tags.filter(isReference).map(parseReference),
      sources: new Map(sources.map(([diffId, source]) => [diffId, parseDescriptor(source, `${where}.LayerSources`)])),
    }
  })
}

/** Reads the archive's layers, each once even if several images share it. */
export class DockerImages {
  readonly #archive: ArchiveFiles
  readonly #signal: AbortSignal | undefined
  readonly #layers = new Map<ArchiveFile, Promise<LayerFile>>()

  constructor(archive: ArchiveFiles, { signal }: FetchOptions = {}) {
    this.#archive = archive
    this.#signal = signal
  }

  /**
   * The image of `entry`. The bytes of layers do not change. A compressed layer is read here to compute its digest and
   * to check it against its diffID. An uncompressed layer has its diffID as its digest, which is verified when the
   * layer is copied. Throws BLOB_MISSING, DIGEST_MISMATCH, INVALID_MANIFEST.
   */
  async image(entry: DockerEntry): Promise<DockerImage> {
    const { name } = this.#archive.subject
    const configBytes = await this.#archive.readSmall(entry.config, { limit: CONFIG_LIMIT, signal: this.#signal })
    const { diffIds } = parseConfig(configBytes, whereIn(this.#archive, entry.config))
    if (entry.layers.length !== diffIds.length) {
      throw new StowageError(
        'INVALID_MANIFEST',
        `${name}: an image has ${entry.layers.length} layers, but its config ${entry.config} has ${diffIds.length} diff_ids`,
      )
    }
    const config = describe(OCI_CONFIG, configBytes)
    const files = new Map([[config.digest, this.#archive.get(entry.config)]])
    const layers: Descriptor[] = []
    for (const [n, diffId] of diffIds.entries()) {
      const path = entry.layers[n] ?? ''
      const foreign = this.#archive.find(path) ? undefined : entry.sources.get(diffId)
      if (foreign?.urls && foreign.urls.length > 0) {
        layers.push(foreign)
        continue
      }
      if (path === '') throw this.#absentLayer(n + 1, diffId)
      const { file, descriptor } = await this.#layer(path, diffId, n + 1)
      files.set(descriptor.digest, file)
      layers.push(descriptor)
    }
    const manifest = new TextEncoder().encode(
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers }),
    )
    return { root: describe(OCI_MANIFEST, manifest), manifest, names: entry.names, files, config }
  }

  /** Buildpacks and others leave out a layer that the engine has, and name it with an empty path. */
  #absentLayer(number: number, diffId: Digest): StowageError {
    return new StowageError(
      'BLOB_MISSING',
      `${this.#archive.subject.name}: layer ${number} (${diffId}) is left out, because an engine is expected to have it`,
      { hint: 'Load the archive into the engine it was made for, and save the image from there.' },
    )
  }

  async #layer(path: string, diffId: Digest, number: number): Promise<{ file: ArchiveFile; descriptor: Descriptor }> {
    const file = this.#archive.get(path)
    const reading = this.#layers.get(file) ?? this.#read(file, diffId)
    this.#layers.set(file, reading)
    const { mediaType, digest, diffId: found } = await reading
    if (found === diffId) return { file, descriptor: { mediaType, digest, size: file.size } }
    const what = digest === found ? 'is' : 'holds'
    throw new StowageError(
      'DIGEST_MISMATCH',
      `${this.#archive.subject.name}: expected ${diffId} as layer ${number} but ${path} ${what} ${found}`,
      {
        hint: 'The archive is damaged, or was assembled from different images: create it again.',
      },
    )
  }

  async #read(file: ArchiveFile, diffId: Digest): Promise<LayerFile> {
    if (file.digest === diffId) return { mediaType: OCI_LAYER, digest: diffId, diffId }
    const compression = await this.#compressionOf(file)
    if (!compression) {
      const digest = file.digest ?? diffId
      return { mediaType: OCI_LAYER, digest, diffId: digest }
    }
    const [inner, outer] = [createHash('sha256'), createHash('sha256')]
    const name = whereIn(this.#archive, file.name)
    for await (const piece of decompressed(
      hashed(this.#archive.read(file, { signal: this.#signal }), outer),
      compression,
      name,
      { signal: this.#signal },
    )) {
      inner.update(piece)
    }
    return {
      mediaType: layerMediaType(compression),
      digest: `sha256:${outer.digest('hex')}`,
      diffId: `sha256:${inner.digest('hex')}`,
    }
  }

  async #compressionOf(file: ArchiveFile): Promise<Compression | undefined> {
    for await (const piece of this.#archive.read(file, { signal: this.#signal })) {
      return compressionOf(piece.subarray(0, MAGIC_SIZE))
    }
    return undefined
  }
}

interface LayerFile {
  readonly mediaType: string
  readonly digest: Digest
  readonly diffId: Digest
}

async function* hashed(bytes: Bytes, hash: { update(piece: Uint8Array): unknown }): Bytes {
  for await (const piece of bytes) {
    hash.update(piece)
    yield piece
  }
}

function strings(entry: ReturnType<typeof record>, key: string, where: string): readonly string[] {
  return optionalArray(entry, key, where).map((item, n) => {
    if (typeof item === 'string') return item
    throw new StowageError('INVALID_MANIFEST', `${where}.${key}[${n}]: expected a string but found ${shown(item)}`)
  })
}

function whereIn(archive: ArchiveFiles, path: string): string {
  return `${archive.subject.name}: ${path}`
}
