/** Compares what is in the layers of images with what the configs of these images say: their diffIDs. */
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { isTarLayer } from '../oci/media-type.js'
import type { ImageLayer } from './graph.js'
import type { Plain } from './layer-hash.js'

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

export class LayerComparison {
  /** By path; a layer of several images has one entry for each diffID that their configs give it. */
  readonly #layers = new Map<string, ImageLayer[]>()
  readonly #plain = new Map<string, Plain>()

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

  /** Says what is in `path`. A blob that is not what its name says is wrong already, whatever is in it. */
  found(path: string, digest: Digest | undefined, plain: Plain): void {
    if (digest && blobPath(digest) === path) this.#plain.set(path, plain)
  }

  *mismatches(): Iterable<{ readonly path: string; readonly message: string }> {
    for (const [path, layers] of this.#layers) {
      const plain = this.#plain.get(path)
      if (!plain || !this.wants(path)) continue
      for (const { diffId, config } of layers) {
        if ('diffId' in plain) {
          if (plain.diffId !== diffId)
            yield { path, message: `the config ${config} says its tar is ${diffId}, but it is ${plain.diffId}` }
        } else if (plain.damaged) {
          yield { path, message: `the config ${config} says its tar is ${diffId}, but it has none: ${plain.reason}` }
        }
      }
    }
  }

  /** Of the layers that are in `files`. */
  proofs(files: ReadonlyMap<string, unknown>): LayerProofs {
    let proved = 0
    const unproved: UnprovedLayer[] = []
    for (const [path, layers] of this.#layers) {
      const [layer] = layers
      const plain = this.#plain.get(path)
      if (!layer || !files.has(path)) continue
      const { digest, mediaType } = layer.descriptor
      if (!this.wants(path)) unproved.push({ digest, reason: `${mediaType} is not a tar that can be read` })
      else if (!plain) unproved.push({ digest, reason: 'its bytes are not what its name says' })
      else if ('reason' in plain) unproved.push({ digest, reason: plain.reason })
      else if (layers.every(({ diffId }) => diffId === plain.diffId)) proved += 1
      else unproved.push({ digest, reason: 'a config says otherwise' })
    }
    return { proved, unproved }
  }
}
