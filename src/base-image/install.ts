/**
 * Installs Windows base OS images: fetches and checks each WIM, makes a container image, writes it and verifies the
 * result.
 */
import type { CatalogEntry } from './catalog.js'
import { findingsOf } from './install-checks.js'
import { aboutEntry, installEntry, installWim } from './install-image.js'
import {
  type InstalledImage,
  type InstallImagesOptions,
  type InstallOptions,
  type InstallResult,
  type InstallWimOptions,
  UNKNOWN,
} from './install-options.js'
import { InstallTarget } from './install-target.js'
import { nameToGive } from '../oci/reference.js'
import { isTarPath } from '../bundle/files.js'
import { abortError, orError, StowageError } from '../errors.js'
import { destinationLocation, transportOf } from '../transport/location.js'
import { usualStore } from '../transport/usual-store.js'
import { compareImageVersions } from './version.js'

/**
 * Installs the base OS images of WIM files, without a network. Name, version and architecture come from the XML; the
 * publisher is Microsoft. If an image fails, its `error` is set, the target is unchanged, and the next one is tried.
 * Throws what opening the target throws, INVALID_ARGUMENT and ABORTED.
 */
export async function installWims(files: readonly string[], options: InstallWimOptions = {}): Promise<InstallResult> {
  if (files.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no WIM to install was named')
  return await installAll(
    options,
    files.map(file => ({
      about: { ...UNKNOWN, from: file },
      install: async target => await installWim(file, target, options),
    })),
  )
}

/**
 * Installs what {@link findImages} found: makes images from WIM files, and copies images of bundles and registries.
 * Errors are handled as in {@link installWims}.
 */
export async function installImages(
  entries: readonly CatalogEntry[],
  options: InstallImagesOptions = {},
): Promise<InstallResult> {
  if (entries.length === 0)
    throw new StowageError('IMAGE_NOT_FOUND', 'no image to install was found', {
      hint: 'List what is available: stowage find --all-versions.',
    })
  const newest = (entry: CatalogEntry): boolean =>
    entries.every(
      other =>
        other.name.toLowerCase() !== entry.name.toLowerCase() ||
        compareImageVersions(other.version, entry.version) <= 0,
    )
  return await installAll(
    options,
    entries.map(entry => ({
      about: { ...UNKNOWN, ...aboutEntry(entry) },
      install: async target =>
        await installEntry(entry, target, { ...options, latest: options.latest && newest(entry) }),
    })),
  )
}

interface Task {
  readonly about: Omit<InstalledImage, 'result'>
  readonly install: (target: InstallTarget) => Promise<InstalledImage>
}

async function installAll(options: InstallOptions, tasks: readonly Task[]): Promise<InstallResult> {
  const { host, name, signal } = options
  if (name !== undefined && tasks.length > 1)
    throw new StowageError('INVALID_ARGUMENT', `one name was given for ${tasks.length} images`, {
      hint: 'Install them one by one.',
    })
  if (name !== undefined) nameToGive(name)
  try {
    signal?.throwIfAborted()
    if (tasks.length > 1 && options.to !== undefined && isOneFile(options.to)) {
      throw new StowageError(
        'INVALID_ARGUMENT',
        `${tasks.length} images cannot be installed one after another into a bundle that is a single file`,
        {
          hint: 'Install into a bundle directory, then convert it to a file: stowage pack bundle:DIRECTORY -o FILE.tar.',
        },
      )
    }
    const target = await InstallTarget.open(options.to ?? (await usualStore(host, options)), options)
    const images: InstalledImage[] = []
    for (const { about, install } of tasks) {
      const done = await orError(async () => await install(target), signal)
      images.push(
        done instanceof StowageError ? { ...about, ...findingsOf(done), result: 'failed', error: done } : done,
      )
    }
    return { to: target.toString(), images }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** Whether `to` is a bundle in a single tar, which cannot be changed after the first image. */
function isOneFile(to: string): boolean {
  const location = destinationLocation(to)
  return (transportOf(location).destination?.seals ?? false) && isTarPath(location.path)
}
