/** Which store is meant if none is named. */
import { StowageError } from '../errors.js'
import { engine } from './engine/transport.js'
import { parseLocation, transportOf } from './location.js'

/** The engine where one answers, or is meant by its address; else the default store. */
export async function usualStore(
  host: string | undefined,
  signal: AbortSignal | undefined,
  env: NodeJS.ProcessEnv = process.env,
): Promise<'docker-daemon:' | 'oci:'> {
  if (host !== undefined || env['DOCKER_HOST'] || env['DOCKER_CONTEXT']) return 'docker-daemon:'
  try {
    await engine.destination?.engine?.({ host, signal })
    return 'docker-daemon:'
  } catch (error) {
    if (error instanceof StowageError && error.code === 'ENGINE_UNREACHABLE') return 'oci:'
    throw error
  }
}

/** Whether `store` is where images are only because nobody named a place and no engine answered: people should know. */
export function isFallback(asked: string | undefined, store: string): boolean {
  return asked === undefined && transportOf(parseLocation(store)).destination?.engine === undefined
}
