/** The media types of the OCI image-spec and of Docker's distribution, and how Stowage classifies them. */

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json'
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar'
export const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json'
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
export const DOCKER_INDEX = 'application/vnd.docker.distribution.manifest.list.v2+json'

export function isIndex(mediaType: string): boolean {
  return mediaType === OCI_INDEX || mediaType === DOCKER_INDEX
}

export function isManifest(mediaType: string): boolean {
  return mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST
}

/** The config of an image; an artifact may have one of this type too, which then has no rootfs. */
export function isImageConfig(mediaType: string): boolean {
  return mediaType === OCI_CONFIG || mediaType === DOCKER_CONFIG
}

/** Layers that are tars, compressed or not, and are not encrypted: those whose content a config can describe. */
export function isTarLayer(mediaType: string): boolean {
  return /^application\/vnd\.(?:oci\.image\.layer|docker\.image\.rootfs)\..*\btar(?:[.+](?:gzip|zstd))?$/.test(
    mediaType,
  )
}

/** Layers whose content may be stored elsewhere (`urls`), as Microsoft's base layers were until 2023. */
export function isForeignLayer(mediaType: string): boolean {
  return mediaType.includes('.nondistributable.') || mediaType.includes('.foreign.')
}
