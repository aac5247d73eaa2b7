/** Describes an image as a Docker Engine reports it: nothing is exported. */
import { objectOf } from '../../engine/answer.js'
import { engineAt } from '../../engine/client.js'
import { listEngineImages, platformAndDiffIds } from '../../engine/inventory.js'
import { StowageError } from '../../errors.js'
import type { InspectedImage } from '../../image/inspection.js'
import { configDetails } from '../../oci/config-details.js'
import { isDigest } from '../../oci/digest.js'
import { textIn, textsIn } from '../../oci/json.js'
import { formatPlatform, matchesPlatform, type Platform } from '../../oci/platform.js'
import { formatReference, isReference, parseReference, withDefaultTag } from '../../oci/reference.js'
import type { WaitOptions } from '../../progress.js'

export interface InspectEngineOptions extends WaitOptions {
  readonly host?: string | undefined
}

/**
 * `name` is a reference or an image ID. Throws IMAGE_NOT_FOUND, INVALID_ARGUMENT without a name, and what connecting
 * throws.
 */
export async function inspectEngineImage(
  name: string | undefined,
  selectors: readonly Partial<Platform>[],
  { host, signal, onProgress }: InspectEngineOptions,
): Promise<InspectedImage> {
  if (name === undefined)
    throw new StowageError('INVALID_ARGUMENT', 'docker-daemon: does not name an image', {
      hint: 'Write docker-daemon:NAME[:TAG].',
    })
  using client = await engineAt(host, onProgress)
  const full = isReference(name) && !isDigest(name) ? formatReference(withDefaultTag(parseReference(name))) : undefined
  const found =
    (full === undefined ? undefined : await client.find(`/images/${full}/json`, { signal })) ??
    (/^(sha256:)?[0-9a-f]{4,64}$/.test(name) ? await client.find(`/images/${name}/json`, { signal }) : undefined)
  if (found === undefined) {
    const held = (await listEngineImages(client, { signal }))
      .flatMap(image => image.names)
      .filter(item => !item.startsWith('<none>'))
    throw new StowageError('IMAGE_NOT_FOUND', `the engine at ${client.endpoint.name} has no image ${name}`, {
      hint:
        held.length > 0
          ? `It has ${held.slice(0, 10).join(', ')}${held.length > 10 ? `, and ${held.length - 10} more` : ''}.`
          : undefined,
    })
  }
  const image = objectOf(found, `GET /images/${name}/json`)
  const { platform, diffIds } = platformAndDiffIds(image)
  const [id, size] = [textIn(image, 'Id'), image['Size']]
  if (selectors.length > 0 && !selectors.some(selector => matchesPlatform(platform, selector))) {
    throw new StowageError('IMAGE_NOT_FOUND', `${name} has no image for the requested platforms`, {
      hint: `It has ${formatPlatform(platform)}.`,
    })
  }
  return {
    names: textsIn(image['RepoTags']).flatMap(tag => (isReference(tag) ? [formatReference(parseReference(tag))] : [])),
    ...(id === undefined ? {} : { id }),
    ...(typeof size === 'number' ? { size } : {}),
    platforms: [{ platform, ...configDetails(image, 'Config'), layers: diffIds.map(diffId => ({ diffId })) }],
    others: [],
    absent: [],
  }
}
