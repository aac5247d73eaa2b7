/** Verifies a load by comparing what the engine reports about an image with the image. */
import { StowageError } from '../errors.js'
import { isObject, type JsonObject, textIn } from '../oci/json.js'
import { formatPlatform } from '../oci/platform.js'
import type { EngineCallOptions, EngineClient } from './client.js'
import { type HeldImage, inspectImage, listEngineImages } from './inventory.js'
import type { LoadPlan } from './load-plan.js'
import type { EngineStore } from './store.js'

/**
 * Describes how the image `name` in the engine differs from `plan`; undefined if its ID, layers and platform match, the
 * engine lists it and, if the engine reports that, each of its manifests is complete.
 */
export async function findFlaw(
  client: EngineClient,
  store: EngineStore,
  plan: LoadPlan,
  name: string,
  options: EngineCallOptions = {},
): Promise<string | undefined> {
  const found = await inspectImage(client, store, name, options)
  if (!found) return 'the engine does not have it'
  const flaw = differenceOf(found, plan)
  if (flaw !== undefined) return flaw
  const listed = (await listEngineImages(client, options)).some(image => image.id === plan.id)
  return listed ? undefined : 'the engine does not list it'
}

/** Describes how an image that the engine reports differs from `plan`; undefined if it does not. */
export function differenceOf(found: HeldImage, plan: LoadPlan): string | undefined {
  if (found.id !== plan.id) return `expected the ID ${plan.id} but the engine has ${found.id || 'none'}`
  const image = plan.platforms.find(({ config }) => sameList(config.diffIds, found.diffIds))
  if (!image) {
    const expected = plan.main.config.diffIds
    const at = expected.findIndex((diffId, n) => diffId !== found.diffIds[n])
    return at < 0 || found.diffIds.length !== expected.length
      ? `expected ${expected.length} layers but the engine has ${found.diffIds.length}`
      : `expected ${expected[at]} as layer ${at + 1} but the engine has ${found.diffIds[at]}`
  }
  const { os, architecture } = image.config.platform
  if (found.platform.os !== os || found.platform.architecture !== architecture) {
    return `expected ${os}/${architecture} but the engine has ${formatPlatform(found.platform)}`
  }
  const lacking = plan.platforms.find(({ descriptor }) => found.whole && !found.whole.has(descriptor.digest))
  return lacking && `the engine lacks content of ${lacking.descriptor.digest}`
}

/** Throws ENGINE_REFUSED if the lines of a response to a load, which has status 200, contain an error. */
export function checkAnswer(lines: readonly JsonObject[], name: string): void {
  for (const line of lines) {
    const detail = line['errorDetail']
    const error = textIn(line, 'error') ?? (isObject(detail) ? textIn(detail, 'message') : undefined)
    // Docker 28 reports an image that it could not unpack only as text, and the load as successful
    const unpacking = /^Error unpacking\b/.test(textIn(line, 'stream') ?? '') ? textIn(line, 'stream') : undefined
    const failure = error ?? unpacking
    if (failure !== undefined) {
      throw new StowageError('ENGINE_REFUSED', `the engine did not load ${name}: ${failure.trim()}`, {
        hint: "Nothing was tagged. See the engine's log; a full disk is a common cause.",
      })
    }
  }
}

function sameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, n) => item === other[n])
}
