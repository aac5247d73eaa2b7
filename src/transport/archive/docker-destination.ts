/**
 * `docker-archive:FILE[:NAME:TAG]` as a destination: the format of `docker save` today, for every `docker load` and for
 * podman.
 */
import { DOCKER_FILE, dockerPlatform, encodeDockerManifest, encodeIndex } from '../../archive/heads.js'
import type { ImageContent } from '../../blob/closure.js'
import { StowageError } from '../../errors.js'
import { isUnpackedEverywhere } from '../../oci/compression.js'
import { eachOnce } from '../../oci/descriptor.js'
import { INDEX_FILE } from '../../oci/layout.js'
import { nameToGive } from '../../oci/reference.js'
import {
  type ArchiveDestinationOptions,
  type ArchiveForm,
  openArchiveDestination,
  refuseSecond,
  surveyArchive,
} from './destination.js'
import type { DestinationSurvey } from '../../image/destination-survey.js'
import type { ImageDestination } from '../../image/image-destination.js'

export interface DockerArchiveDestinationOptions extends ArchiveDestinationOptions {
  /** Name of the one image, `name[:tag]`, instead of its own. */
  readonly ref?: string | undefined
}

/**
 * A new archive that is also an OCI image layout, as docker 25 and later write it, so manifests keep their digests. It
 * holds one platform of each image, which {@link dockerPlatform} chooses; `write()` reports that platform if there were
 * others. Names are full. The same images give the same bytes. `finish()` moves the archive to `file`. Throws
 * OUTPUT_EXISTS, FILE_NOT_FOUND, INVALID_REFERENCE; `write()` also NO_SPACE, UNSUPPORTED for anything but a container
 * image and for layers with another compression, and INVALID_ARGUMENT for two images with the same name, or for a
 * second image if `ref` is given.
 */
export async function openDockerArchiveDestination(
  file: string,
  { ref, ...options }: DockerArchiveDestinationOptions = {},
): Promise<ImageDestination> {
  return await openArchiveDestination(file, formOf(ref), options)
}

function formOf(ref: string | undefined): ArchiveForm {
  const given = ref === undefined ? undefined : nameToGive(ref)
  return {
    choose: choosePlatform,
    names(_image, names, others) {
      if (ref === undefined || given === undefined) return names
      refuseSecond(ref, others)
      return [given]
    },
    documents: images =>
      new Map([
        [INDEX_FILE, encodeIndex(images)],
        [DOCKER_FILE, encodeDockerManifest(images)],
      ]),
  }
}

/** Looks at the place of the new archive `file`. Throws like {@link openDockerArchiveDestination}. */
export async function surveyDockerArchive(
  file: string,
  { ref }: DockerArchiveDestinationOptions = {},
): Promise<DestinationSurvey> {
  return await surveyArchive(file, formOf(ref))
}

/** The part of the image for that one platform. */
function choosePlatform(image: ImageContent, subject: string): ImageContent {
  const chosen = dockerPlatform(image.platforms)
  if (!chosen) {
    throw new StowageError(
      'UNSUPPORTED',
      `${subject} is not a container image: no manifest of it has an image config`,
      {
        hint: 'A docker archive holds container images only; an OCI archive holds anything: oci-archive:FILE.',
      },
    )
  }
  const { descriptor, manifest } = chosen
  const odd = manifest.layers.find(layer => !isUnpackedEverywhere(layer.mediaType))
  if (odd) {
    throw new StowageError(
      'UNSUPPORTED',
      `${subject} has a layer of ${odd.mediaType} (${odd.digest}), but docker archives hold only uncompressed and gzip layers`,
      {
        hint: 'Docker before 23 cannot load it. Write oci-archive:FILE, or make the image with gzip layers.',
      },
    )
  }
  return {
    root: { mediaType: descriptor.mediaType, digest: descriptor.digest, size: descriptor.size },
    manifests: image.manifests.filter(document => document.descriptor.digest === descriptor.digest),
    configs: image.configs.filter(document => document.descriptor.digest === manifest.config.digest),
    layers: eachOnce(manifest.layers),
    platforms: [chosen],
    absent: [],
  }
}
