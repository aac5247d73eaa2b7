/** What is to be packed: the images with their options, checked before anything is opened. */
import type { Signer } from '../signature/private-key.js'
import type { Release } from '../signature/release.js'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { carriedPath } from '../bundle/carried.js'
import { FILES } from '../bundle/contents.js'
import type { CarriedSize } from '../bundle/size.js'
import { fileError, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { nameToGive } from '../oci/reference.js'
import type { LayerMakingOptions, TransferOptions } from '../transfer/options.js'
import type { Selection } from '../transfer/transfer.js'
import { sourceLocation } from '../transport/source-location.js'
import type { Location } from '../transport/transport.js'
import type { AskForMedium } from '../volumes/gone.js'

/** One image to pack, with the options that apply to it alone. */
export interface PackImage {
  /** A location, see {@link sourceLocation}. */
  readonly image: string
  /** The names in the bundle, which replace its own; only for a location of one image. */
  readonly names?: readonly string[] | undefined
  /** Overrides the option for all images; so do the next two. */
  readonly platforms?: readonly string[] | undefined
  readonly referrers?: boolean | undefined
  readonly foreignLayers?: PackOptions['foreignLayers']
  /** How to create its layer from a WIM or a directory; added to the options for all images. */
  readonly layer?: PackOptions['layer']
}

export interface PackOptions extends TransferOptions, LayerMakingOptions {
  /** The names of the image, which replace its own; only if one image is packed. */
  readonly names?: readonly string[] | undefined
  /** Files to include in the bundle: `from` on this machine becomes `files/PATH` in the bundle. */
  readonly files?: readonly { readonly from: string; readonly path: string }[] | undefined
  /**
   * Whether to replace the contents of a bundle that already exists in `output`; the old bundle stays valid until the
   * end.
   */
  readonly update?: boolean | undefined
  /**
   * Cuts the tar into volumes of this many bytes: `x.tar` becomes `x.tar.001`, `x.tar.002` …, which are it when put
   * together. Everything is read before the first byte is written, and layers that are made are in `TMPDIR` until then.
   */
  readonly volumeSize?: number | undefined
  /** Asks for the next medium if the volumes do not fit on one; without it, that is NO_SPACE. */
  readonly askForMedium?: AskForMedium | undefined
  /**
   * Recovery blocks to make for every hundred blocks of the bundle, see `protectBundle`; not for standard output. None by
   * default.
   */
  readonly recovery?: number | undefined
  /**
   * Makes a delta for a place that has what these inventories and bundles, by their paths, have together: images that
   * are there under their names, and layers, are left out. Without any, or if none of it is of these images, the bundle
   * is whole. Layers that are made are in a temporary place beside the bundle first.
   */
  readonly have?: readonly string[] | undefined
  /**
   * Other sites that the delta is for, too: an inventory or a bundle for each. Only what every site has is left out.
   * With `have`, which says what the first one has.
   */
  readonly alsoFor?: readonly string[] | undefined
  /**
   * Reads the bundle back before it is complete, from the medium and not from the page cache, and compares it with
   * what was written: MEDIUM_FAILED if the medium has something else. By default if the medium is removable.
   */
  readonly verify?: boolean | undefined
  /**
   * Decompress layers while they are packed, and compare what is in them with the diffIDs in the configs of their images
   * (the default): a layer that is another tar is DIFF_ID_MISMATCH.
   */
  readonly deep?: boolean | undefined
  /** Called with all images before the bundle is completed; if it throws, the output stays as it was before. */
  readonly accept?: ((packed: readonly PackedImage[]) => void) | undefined
  /** Seconds since 1970 for all times in the bundle; defaults to the environment's SOURCE_DATE_EPOCH. */
  readonly epoch?: number | undefined
  /** Its place in a series: a bundle that is older than one that was loaded can then be told. Not by default. */
  readonly release?: Release | undefined
  /** Signs the bundle once it is complete, see {@link signBundle}. */
  readonly signer?: Signer | undefined
}

/** The result for one {@link PackImage}. */
export interface PackedImage {
  readonly image: string
  readonly root: Descriptor
  /** Full references. */
  readonly names: readonly string[]
  readonly platforms: readonly string[]
  /** Media types of its layers, each once. */
  readonly layerTypes: readonly string[]
}

/** A {@link PackImage} and where it is. */
export interface PackRequest extends PackImage {
  readonly location: Location
}

/**
 * Checks the arguments before anything is opened. Throws INVALID_ARGUMENT and what parsing locations and names throws.
 */
export async function checkRequests(
  images: readonly (string | PackImage)[],
  output: string | undefined,
  { names, files = [] }: PackOptions,
): Promise<readonly PackRequest[]> {
  if (output === '') {
    throw new StowageError('INVALID_ARGUMENT', '"" is not an output: a bundle is a directory or a file', {
      hint: 'Name a directory, or a file that ends in .tar; - is standard output.',
    })
  }
  if (images.length === 0 && files.length === 0)
    throw new StowageError('INVALID_ARGUMENT', 'no image was named to pack')
  if (names && names.length > 0 && images.length > 1) {
    throw new StowageError('INVALID_ARGUMENT', `a name was given for ${images.length} images`, {
      hint: 'Pack them one by one, or leave out --tag.',
    })
  }
  const requests: PackRequest[] = []
  for (const image of images) {
    const request = { names, ...(typeof image === 'string' ? { image } : image) }
    requests.push({ ...request, location: await sourceLocation(request.image) })
    request.names?.forEach(name => nameToGive(name))
  }
  const paths: string[] = []
  for (const { path } of files) paths.push(carriedPath(path, paths))
  return requests
}

/** What distinguishes requests whose layers are made, wherever their files are. */
export function requestKey({ names = [], location: { path, ref = '' }, platforms = [] }: PackRequest): string {
  return [...names.toSorted(), basename(path), ref, ...platforms].join(' ')
}

/** What to take of the location. */
export function selectionOf(request: PackImage): Selection {
  const names = request.names?.map(nameToGive) ?? []
  return {
    names,
    platforms: request.platforms,
    referrers: request.referrers,
    foreignLayers: request.foreignLayers,
    expectCount(count) {
      if (names.length === 0 || count === 1) return
      throw new StowageError('INVALID_ARGUMENT', `a name was given for ${count} images`, {
        hint: 'Name one image of the bundle: bundle:PATH:REF.',
      })
    },
  }
}

/** The files to carry, by path in the bundle, and their sizes in bytes. */
export async function measureFiles(
  files: readonly { readonly from: string; readonly path: string }[],
): Promise<readonly CarriedSize[]> {
  return await Promise.all(
    files.map(async ({ from, path }) => {
      const { size } = await stat(from).catch((error: unknown) => {
        throw fileError(error, from)
      })
      return { path: `${FILES}/${path}`, size }
    }),
  )
}
