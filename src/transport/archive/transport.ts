/** `oci-archive:` and `docker-archive:`: a tar of images, as an OCI layout or in the format of `docker save`. */
import { pathAndRef } from '../grammar.js'
import type { Transport } from '../transport.js'

const OCI_FORM = 'oci-archive:FILE[:REF]'
const DOCKER_FORM = 'docker-archive:FILE[:REF]'

export const ociArchive: Transport = {
  scheme: 'oci-archive',
  ...pathAndRef('oci-archive', OCI_FORM),
  source: {
    form: OCI_FORM,
    manifests: 'kept',
    open: async ({ path, ref }, { spool, signal, onProgress, onNotice }) =>
      await (await import('./oci-source.js')).openOciArchiveSource(path, { ref, spool, signal, onProgress, onNotice }),
  },
  destination: {
    form: 'oci-archive:FILE',
    imageForm: 'oci-archive:FILE[:REF]',
    naming: 'names',
    takesRef: true,
    artifacts: true,
    additive: false,
    holds: true,
    extension: '.tar',
    streams: true,
    verifies: true,
    disk: ({ path }) => path,
    open: async ({ path, ref }, { sparse, verify, signal, onProgress }) =>
      await (
        await import('./oci-destination.js')
      ).openOciArchiveDestination(path, { ref, sparse, verify, signal, onProgress }),
    survey: async ({ path, ref }, { sparse }) =>
      await (await import('./oci-destination.js')).surveyOciArchive(path, { ref, sparse }),
  },
}

export const dockerArchive: Transport = {
  scheme: 'docker-archive',
  ...pathAndRef('docker-archive', DOCKER_FORM),
  source: {
    form: DOCKER_FORM,
    manifests: 'kept',
    open: async ({ path, ref }, { spool, signal, onProgress, onNotice }) =>
      await (
        await import('./docker-source.js')
      ).openDockerArchiveSource(path, { ref, spool, signal, onProgress, onNotice }),
  },
  destination: {
    form: 'docker-archive:FILE',
    imageForm: 'docker-archive:FILE[:NAME:TAG]',
    naming: 'names',
    takesRef: true,
    artifacts: false,
    additive: false,
    holds: true,
    extension: '.tar',
    streams: true,
    verifies: true,
    disk: ({ path }) => path,
    open: async ({ path, ref }, { verify, signal, onProgress }) =>
      await (
        await import('./docker-destination.js')
      ).openDockerArchiveDestination(path, { ref, verify, signal, onProgress }),
    survey: async ({ path, ref }) => await (await import('./docker-destination.js')).surveyDockerArchive(path, { ref }),
  },
}
