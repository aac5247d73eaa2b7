/** Loads the native addon when it is first needed; no other module loads it. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { abortError, fileError, StowageError, systemCode } from './errors.js'
import { isCutShort, loadHint, missingHint } from './load-failure.js'
import { PACKAGE_ROOT } from './package-root.js'

let loaded: unknown

/**
 * The exports of `native/addon.cc`; each caller declares the types that it uses. Throws ADDON_MISSING saying what to
 * install.
 */
export function nativeAddon(): unknown {
  loaded ??= load()
  return loaded
}

/** The addon's export `name`; undefined if there is no addon or it lacks that export on this system. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the caller knows the type of the export
export function nativePart<Part>(name: string): Part | undefined {
  parts ??= partsOf()
  return parts[name] as Part | undefined // the caller declares the type that native/addon.cc exports
}

let parts: Readonly<Record<string, unknown>> | undefined

function partsOf(): Readonly<Record<string, unknown>> {
  try {
    return nativeAddon() as Readonly<Record<string, unknown>> // native/addon.cc exports an object
  } catch (error) {
    if (error instanceof StowageError && error.code === 'ADDON_MISSING') return {}
    throw error
  }
}

/** A job on a thread of the addon: `native/thread_job.h`. */
export interface ThreadJob {
  cancel(): void
  /** Stops the thread and releases what it holds. */
  close(): void
}

/**
 * Runs a job of the addon to its end: `start` creates it, and passes on each of its events. Throws what `failure` makes of
 * the error that the job ended with, and ABORTED.
 */
export async function runThreadJob<Result>(
  start: (report: (event: { readonly result?: Result | undefined; readonly error?: unknown }) => void) => ThreadJob,
  signal: AbortSignal | undefined,
  failure: (error: unknown) => unknown,
): Promise<Result> {
  if (signal?.aborted) throw abortError(signal.reason, signal)
  let job: ThreadJob | undefined
  const cancel = (): void => job?.cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    return await new Promise<Result>((resolve, reject) => {
      job = start(({ result, error }) => {
        if (error !== undefined) reject(failure(error))
        else if (result !== undefined) resolve(result)
      })
    })
  } catch (error) {
    throw abortError(error, signal)
  } finally {
    signal?.removeEventListener('abort', cancel)
    job?.close()
  }
}

/**
 * The {@link fileError} of what the addon met while it read `path`: its errors do not name a system call, as those of
 * Node.js do. ABORTED is returned as it is, for {@link abortError}.
 */
export function readFailure(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || systemCode(error) === 'ABORTED') return error
  return fileError(Object.assign(error, { syscall: 'read' }), path)
}

const COMPILED = 'build/Release/stowage.node'
const PREBUILT = `prebuilds/${process.platform}-${process.arch}/stowage.node`

/** With the variables of node-gyp-build, which decides on installation whether the addon has to be compiled. */
function addonFile(): string | undefined {
  const { PREBUILDS_ONLY, STOWAGE_PREBUILD } = process.env
  const root = STOWAGE_PREBUILD ?? fileURLToPath(PACKAGE_ROOT)
  return (PREBUILDS_ONLY ? [PREBUILT] : [COMPILED, PREBUILT]).map(place => join(root, place)).find(existsSync)
}

function load(): unknown {
  const file = addonFile()
  if (file === undefined) {
    const message = `there is no native addon for ${process.platform}-${process.arch}`
    throw new StowageError('ADDON_MISSING', message, { hint: missingHint() })
  }
  try {
    if (isCutShort(file)) throw new Error(`${file}: file too short`) // the loader's words, where it notices
    return createRequire(import.meta.url)(file) as unknown
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : ''
    const hint = `${loadHint(reason, file)} WIM files require it; packing, verifying and loading other images does not.`
    throw new StowageError('ADDON_MISSING', `the native addon cannot be loaded: ${reason}`, { hint, cause: error })
  }
}
