/** Bundles of test images, written by the writer itself; what a test then does to one is in the test. */
import { execFileSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { readImage } from '../../src/blob/closure.js'
import type { BundleManifest } from '../../src/bundle/manifest.js'
import { openBundleWriter } from '../../src/bundle/writer.js'
import { parseReference } from '../../src/oci/reference.js'
import type { TestImage } from './images.js'

/** Writes a sealed bundle of `images` by name at `path`, directory or tar. */
export async function writeBundle(
  path: string,
  images: Readonly<Record<string, TestImage>>,
  epoch?: number,
): Promise<BundleManifest> {
  await using writer = await openBundleWriter(path, { epoch, deep: false }) // whatever is in the layers
  const named = await Promise.all(
    Object.entries(images).map(async ([name, { blobs, root }]) => ({
      blobs,
      image: await readImage(blobs, root),
      names: [parseReference(name)],
    })),
  )
  await writer.plan(named)
  for (const { image, blobs, names } of named) await writer.write(image, blobs, names)
  return await writer.seal()
}

/** Every file below `directory` with its bytes, by its path with `/`. */
export async function readTree(directory: string): Promise<ReadonlyMap<string, Buffer>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = new Map<string, Buffer>()
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) files.set(relative(directory, path).split(sep).join('/'), await readFile(path))
  }
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Whether `sha256sum -c` is content with the bundle directory. */
export function sumsAgree(directory: string): boolean {
  try {
    execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: directory, stdio: 'pipe' })
    return true
  } catch {
    return false // its exit code is all that is asked for
  }
}
