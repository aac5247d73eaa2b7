/** A container of an engine as a new image, with name, publisher and version as `New-ContainerImage` gave them. */
import { abortError, StowageError } from '../errors.js'
import { type ImageIdentity, identityLabels } from '../oci/image-identity.js'
import { formatReference, nameToGive, type Reference } from '../oci/reference.js'
import { openImageStore, type StoreOptions } from '../transport/open.js'

export interface CommitContainerOptions extends StoreOptions {
  readonly author?: string | undefined
  readonly message?: string | undefined
  /** Instructions of a Dockerfile: `CMD ["/run"]`. */
  readonly changes?: readonly string[] | undefined
  /** The container stands still meanwhile; true when left out. */
  readonly pause?: boolean | undefined
  /** Of the image, in its labels; `name` and `version` also name it where nothing else does. */
  readonly identity?: { readonly [part in keyof ImageIdentity]?: string | undefined } | undefined
}

export interface CommittedImage {
  /** As a location is written. */
  readonly store: string
  readonly id: string
  /** In full; not there where the image was given none. */
  readonly name?: string
}

/**
 * Commits the container `container`, by name or ID, as `repository`, `NAME[:TAG]`. Throws CONTAINER_NOT_FOUND, INVALID_ARGUMENT and
 * INVALID_REFERENCE for names that are none, UNSUPPORTED for a place without containers, ENGINE_REFUSED.
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
  } = options
  const whole: ImageIdentity = { name: title, publisher, version }
  const name = repository === undefined ? nameOfIdentity(whole) : nameToGive(repository)
  const labels = Object.entries(identityLabels(whole)).map(labelInstruction)
  try {
    await using store = await openImageStore(options)
    const id = await store.commit(container, { name, author, message, changes: [...labels, ...changes], pause, signal })
    return { store: store.location, id, ...(name ? { name: formatReference(name) } : {}) }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** `nanoserver:10.0.14300.1010` of NanoServer 10.0.14300.1010. */
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

/** As a Dockerfile has it: within quotes a backslash, a quote and a dollar sign would mean something else. */
function labelInstruction([key, value]: readonly [string, string]): string {
  if (/[\u0000-\u001f\u007f]/.test(value)) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${JSON.stringify(value)} has control characters, which a label may not contain`,
    )
  }
  return `LABEL ${key}="${value.replace(/["\\$]/g, '\\$&')}"`
}
