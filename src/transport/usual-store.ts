/** Chooses the store if the user names none. */
import { StowageError } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import { engine } from './engine/transport.js'
import { parseLocation, transportOf } from './location.js'

/**
 * The engine if one answers or its address is set; otherwise the default store. Throws what connecting throws, except
 * ENGINE_UNREACHABLE.
 */
export async function usualStore(
  host: string | undefined,
  { signal, onProgress }: WaitOptions,
  env: NodeJS.ProcessEnv = process.env,
): Promise<'docker-daemon:' | 'oci:'> {
  if (host !== undefined || env['DOCKER_HOST'] || env['DOCKER_CONTEXT']) return 'docker-daemon:'
  try {
    await engine.destination?.engine?.({ host, signal, onProgress })
    return 'docker-daemon:'
  } catch (error) {
    if (error instanceof StowageError && error.code === 'ENGINE_UNREACHABLE') return 'oci:'
    throw error
  }
}

/**
 * Whether `store` is the default store only because none was named and no engine answered, which the user should be
 * told.
 */
export function isFallback(asked: string | undefined, store: string): boolean {
  return asked === undefined && transportOf(parseLocation(store)).destination?.engine === undefined
}
