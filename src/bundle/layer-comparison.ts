/** Compares what is in the layers of images with what the configs of these images say: their diffIDs. */
import type { ImageContent } from '../blob/closure.js'
import type { Plain } from '../blob/layer-watch.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { isTarLayer } from '../oci/media-type.js'

/** A layer, and what the config of an image says of the tar in it. */
export interface ImageLayer {
  readonly descriptor: Descriptor
  readonly diffId: Digest
  readonly config: Digest
}

/** How many layers of images hold what the configs say, and those that could not be compared. */
export interface LayerProofs {
  readonly proved: number
  readonly unproved: readonly UnprovedLayer[]
}

/** A layer whose content could not be compared with its diffID. That is not a defect. */
export interface UnprovedLayer {
  readonly digest: Digest
  readonly reason: string
}

/** The layers of all platforms of an image. */
export function* layersToCheck({ platforms }: ImageContent): Iterable<ImageLayer> {
  for (const { manifest, config } of platforms) {
    for (const [n, descriptor] of manifest.layers.entries()) {
      const diffId = config.diffIds[n]
      if (diffId) yield { descriptor, diffId, config: manifest.config.digest }
    }
  }
}

export class LayerComparison {
  /** By path; a layer of several images has one entry for each diffID that their configs give it. */
  readonly #layers = new Map<string, ImageLayer[]>()
  readonly #plain = new Map<string, Plain>()
  /** Layers that were made together with the config. */
  readonly #made = new Set<string>()

  expect(layer: ImageLayer): void {
    const path = blobPath(layer.descriptor.digest)
    const known = this.#layers.get(path)
    if (!known) this.#layers.set(path, [layer])
    else if (!known.some(({ diffId }) => diffId === layer.diffId)) known.push(layer)
  }

  /** Whether `path` is a layer that can be decompressed: not one that is encrypted, or of a kind that nobody knows. */
  wants(path: string): boolean {
    return this.#layers.get(path)?.every(({ descriptor }) => isTarLayer(descriptor.mediaType)) ?? false
  }

  /** Whether what is in `path` is known, or need not be. */
  knows(path: string): boolean {
    return this.#plain.has(path) || this.#made.has(path)
  }

  /** Says what is in `path`. A blob that is not what its name says is wrong already, whatever is in it. */
  found(path: string, digest: Digest | undefined, plain: Plain): void {
    if (digest && blobPath(digest) === path) this.#plain.set(path, plain)
  }

  /** Says that `path` was made here, and its diffID with it. */
  made(path: string): void {
    this.#made.add(path)
  }

  *mismatches(): Iterable<{ readonly path: string; readonly message: string }> {
    for (const path of this.#layers.keys()) for (const message of this.mismatchesOf(path)) yield { path, message }
  }

  /** A message for each config that says something else of `path` than what was found in it. */
  *mismatchesOf(path: string): Iterable<string> {
    const plain = this.#plain.get(path)
    if (!plain || !this.wants(path)) return
    for (const { diffId, config } of this.#layers.get(path) ?? []) {
      const said = `the config ${config} says its tar is ${diffId}`
      if ('diffId' in plain) {
        if (plain.diffId !== diffId) yield `${said}, but it is ${plain.diffId}`
      } else if (plain.damaged) {
        yield `${said}, but it has none: ${plain.reason}`
      }
    }
  }

  /** Of the layers that are in `files`. `unread`: why nothing is known of one. */
  proofs(files: { has(path: string): boolean }, unread: string): LayerProofs {
    let proved = 0
    const unproved: UnprovedLayer[] = []
    for (const [path, layers] of this.#layers) {
      const [layer] = layers
      const plain = this.#plain.get(path)
      if (!layer || !files.has(path)) continue
      const { digest, mediaType } = layer.descriptor
      if (this.#made.has(path)) proved += 1
      else if (!this.wants(path)) unproved.push({ digest, reason: `${mediaType} is not a tar that can be read` })
      else if (!plain) unproved.push({ digest, reason: unread })
      else if ('reason' in plain) unproved.push({ digest, reason: plain.reason })
      else if (layers.every(({ diffId }) => diffId === plain.diffId)) proved += 1
      else unproved.push({ digest, reason: 'a config says otherwise' })
    }
    return { proved, unproved }
  }
}
