/** `oci-archive:FILE[:REF]` as a destination: a tar of an OCI image layout. Source: OCI image-spec, image-layout.md. */
import { encodeIndex, type NamedImage } from '../../archive/heads.js'
import { type SparseForm, withStripped } from '../../blob/stripped.js'
import { StowageError } from '../../errors.js'
import { array, LIST_VALUE_LIMIT, parseJson, record } from '../../oci/json.js'
import { IMAGE_NAME_ANNOTATION, INDEX_FILE, REF_NAME_ANNOTATION } from '../../oci/layout.js'
import { isReference, parseReference, type Reference, withDefaultTag } from '../../oci/reference.js'
import {
  type ArchiveDestinationOptions,
  type ArchiveForm,
  openArchiveDestination,
  refuseSecond,
  surveyArchive,
} from './destination.js'
import type { DestinationSurvey } from '../../image/destination-survey.js'
import type { ImageDestination } from '../../image/image-destination.js'

export interface OciArchiveDestinationOptions extends ArchiveDestinationOptions {
  /** The `org.opencontainers.image.ref.name` of the one image, as in skopeo: a tag or a full name. */
  readonly ref?: string | undefined
  /** `keep`: a sparse index is listed as it is. */
  readonly sparse?: SparseForm | undefined
}

/** Source: image-spec, annotations.md, `org.opencontainers.image.ref.name`. */
const REF_NAME = /^[A-Za-z0-9]+(?:(?:[-._:@+/]|--)[A-Za-z0-9]+)*$/

/**
 * A new archive of images with all their platforms, byte for byte. The same images give the same bytes. `finish()`
 * moves the archive to `file`. Throws OUTPUT_EXISTS, FILE_NOT_FOUND, INVALID_REFERENCE; `write()` also NO_SPACE, and
 * INVALID_ARGUMENT for two images with the same name, or for a second image if `ref` is given.
 */
export async function openOciArchiveDestination(
  file: string,
  { ref, sparse, ...options }: OciArchiveDestinationOptions = {},
): Promise<ImageDestination> {
  if (ref !== undefined && !REF_NAME.test(ref)) {
    throw new StowageError('INVALID_REFERENCE', `${JSON.stringify(ref)} is not a reference in a layout`, {
      hint: 'Write a tag or a name: letters and digits, between them "-", ".", "_", ":", "@", "+" and "/".',
    })
  }
  return await openArchiveDestination(file, formOf(ref, sparse), options)
}

function formOf(ref: string | undefined, sparse: SparseForm | undefined): ArchiveForm {
  return {
    choose: image => withStripped(image, sparse),
    names(image, names, others) {
      const about = others.length > 0 && image.platforms.length === 0 // a signature, an SBOM: comes with an image
      if (ref === undefined || about) return names
      refuseSecond(ref, others)
      return namesOf(ref, names)
    },
    documents: images => new Map([[INDEX_FILE, indexOf(images, ref, sparse)]]),
  }
}

/** A full name replaces the image's name; a tag replaces only its tag. */
function namesOf(ref: string, [first]: readonly Reference[]): readonly Reference[] {
  if (/[/:]/.test(ref)) return isReference(ref) ? [withDefaultTag(parseReference(ref))] : []
  return first && isReference(`x:${ref}`) ? [{ domain: first.domain, path: first.path, tag: ref }] : []
}

/** Like {@link encodeIndex}, but with `ref`, if given, as the `ref.name` of the first image. */
function indexOf(images: readonly NamedImage[], ref: string | undefined, sparse: SparseForm | undefined): Uint8Array {
  const bytes = encodeIndex(images, sparse)
  if (ref === undefined) return bytes
  const index = record(parseJson(bytes, INDEX_FILE, LIST_VALUE_LIMIT), INDEX_FILE)
  const manifests = array(index, 'manifests', INDEX_FILE).map((item, n) => {
    const root = record(item, INDEX_FILE)
    if (n > 0) return root
    const annotations = root['annotations'] === undefined ? {} : record(root['annotations'], IMAGE_NAME_ANNOTATION)
    return { ...root, annotations: { ...annotations, [REF_NAME_ANNOTATION]: ref } }
  })
  return new TextEncoder().encode(`${JSON.stringify({ ...index, manifests })}\n`)
}

/** Looks at the place of the new archive `file`. Throws like {@link openOciArchiveDestination}. */
export async function surveyOciArchive(
  file: string,
  { ref, sparse }: OciArchiveDestinationOptions = {},
): Promise<DestinationSurvey> {
  return await surveyArchive(file, formOf(ref, sparse))
}
