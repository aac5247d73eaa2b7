/** Commit: creates an image from an engine's container, with name, publisher and version like `New-ContainerImage`. */
import { abortError, StowageError } from '../errors.js'
import { type ImageIdentity, identityLabels } from '../oci/image-identity.js'
import { formatReference, nameToGive, type Reference } from '../oci/reference.js'
import { openImageStore, type StoreOptions } from '../transport/open.js'

export interface CommitContainerOptions extends StoreOptions {
  readonly author?: string | undefined
  readonly message?: string | undefined
  /** Dockerfile instructions: `CMD ["/run"]`. */
  readonly changes?: readonly string[] | undefined
  /** Whether to pause the container during the commit; defaults to true. */
  readonly pause?: boolean | undefined
  /**
   * The image's identity, stored in its labels; `name` and `version` also name the image if no `repository` is given.
   */
  readonly identity?: { readonly [part in keyof ImageIdentity]?: string | undefined } | undefined
}

export interface CommittedImage {
  /** The store, as a location. */
  readonly store: string
  readonly id: string
  /** The full name; absent if the image was given none. */
  readonly name?: string
}

/**
 * Commits the container with the name or ID `container` as `repository` (`NAME[:TAG]`). Throws CONTAINER_NOT_FOUND,
 * INVALID_ARGUMENT and INVALID_REFERENCE for invalid names, UNSUPPORTED for a store without containers, ENGINE_REFUSED.
 */
export async function commitContainer(
  container: string,
  repository?: string,
  options: CommitContainerOptions = {},
): Promise<CommittedImage> {
  const {
    author,
    message,
    changes = [],
    pause = true,
    identity: { name: title = '', publisher = '', version = '' } = {},
    signal,
    onProgress,
  } = options
  const whole: ImageIdentity = { name: title, publisher, version }
  const name = repository === undefined ? nameOfIdentity(whole) : nameToGive(repository)
  const labels = Object.entries(identityLabels(whole)).map(labelInstruction)
  try {
    onProgress?.({ type: 'stage', stage: 'commit', subject: container })
    await using store = await openImageStore({ ...options, onProgress: undefined }) // the commit itself is the wait
    const id = await store.commit(container, { name, author, message, changes: [...labels, ...changes], pause, signal })
    onProgress?.({ type: 'done', subject: container })
    return { store: store.location, id, ...(name ? { name: formatReference(name) } : {}) }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** `nanoserver:10.0.14300.1010` for NanoServer 10.0.14300.1010. */
function nameOfIdentity({ name, version }: ImageIdentity): Reference | undefined {
  if (name === '') return undefined
  const text = version === '' ? name.toLowerCase() : `${name.toLowerCase()}:${version}`
  try {
    return nameToGive(text)
  } catch (error) {
    throw new StowageError(
      'INVALID_REFERENCE',
      `${JSON.stringify(text)}, made from its name and version, is not a valid image name`,
      {
        hint: 'Give it one: stowage commit CONTAINER NAME:TAG --name … --version ….',
        cause: error,
      },
    )
  }
}

/**
 * A Dockerfile's LABEL instruction; backslashes, quotes and dollar signs are escaped. Throws INVALID_ARGUMENT for
 * control characters.
 */
function labelInstruction([key, value]: readonly [string, string]): string {
  if (/[\u0000-\u001f\u007f]/.test(value)) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${JSON.stringify(value)} has control characters, which a label may not contain`,
    )
  }
  return `LABEL ${key}="${value.replace(/["\\$]/g, '\\$&')}"`
}
