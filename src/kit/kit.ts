/** Writes a kit: Stowage and Node.js for several platforms, as plain files that run from a stick with nothing installed. */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { PARTIAL, syncPath, writeSynced } from '../blob/durable.js'
import { hashFile } from '../blob/hash-file.js'
import { refuseExisting } from '../blob/partial-file.js'
import { rename } from '../blob/rename.js'
import { Workspace } from '../blob/workspace.js'
import { CHECKSUMS_FILE, encodeChecksums } from '../bundle/checksums.js'
import { abortError, fileError, outputError, StowageError, systemCode } from '../errors.js'
import { thisGenerator } from '../generator.js'
import type { Digest } from '../oci/digest.js'
import { PACKAGE_ROOT } from '../package-root.js'
import type { WaitOptions } from '../progress.js'
import { BATCH_LAUNCHER, kitReadme, nodeDirectory, SHELL_LAUNCHER } from './launchers.js'
import {
  givenTarballs,
  type KitPlatform,
  LICENCE_PLATFORM,
  NODE_PACKAGES,
  NODE_RELEASE,
  nodeTarball,
  unpackNode,
} from './node-binary.js'

export interface KitOptions extends WaitOptions {
  readonly platforms: readonly KitPlatform[]
  /** Tarballs of Node.js's packages on npm; those that are not among them are downloaded by npm. */
  readonly nodePackages?: readonly string[] | undefined
  /** Leaves Node.js out: the hosts have their own. */
  readonly withoutNode?: boolean | undefined
  /** Called with sentences for the user. */
  readonly onNotice?: ((text: string) => void) | undefined
}

export interface KitResult {
  readonly path: string
  readonly version: string
  /** The release of Node.js, if it is in the kit. */
  readonly node?: string
  readonly platforms: readonly KitPlatform[]
  readonly files: number
  /** In bytes. */
  readonly size: number
}

/** The directories of the addons, below `prebuilds/`. */
const ADDONS: Readonly<Record<KitPlatform, string>> = {
  'linux/amd64': 'linux-x64',
  'linux/arm64': 'linux-arm64',
  'windows/amd64': 'win32-x64',
}
/** What an addon that was compiled here, on Debian, contains of others: their licences travel along. */
const CONTAINED = ['libdeflate-dev', 'libssl-dev', 'libzstd-dev', 'liblzma-dev']

/** The command in one file, and what it starts: `scripts/bundle.mjs` makes them. */
const COMMAND = 'dist/command'

/**
 * Writes the kit to `directory`, which must not exist. Throws OUTPUT_EXISTS, UNSUPPORTED if there is no addon for a
 * platform or npm cannot get Node.js, DIGEST_MISMATCH, FILE_NOT_FOUND, NO_SPACE and other file errors.
 */
export async function writeKit(directory: string, options: KitOptions): Promise<KitResult> {
  const { platforms, nodePackages = [], withoutNode = false, onNotice, signal } = options
  await refuseExisting(directory, 'a kit')
  if (!(await isThere(packageFile(COMMAND)))) {
    throw new StowageError('UNSUPPORTED', 'this Stowage runs from a kit, and a kit cannot make another', {
      hint: 'Copy its directory.',
    })
  }
  const addons = await Promise.all(platforms.map(async each => await addonOf(each, onNotice)))
  const given = await givenTarballs(nodePackages, signal)
  const partial = `${directory}${PARTIAL}`
  await using workspace = new Workspace() // not on the stick: what is unpacked gets modes and times
  try {
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial)
    const kit = new Kit(partial, directory, options)
    for (const platform of withoutNode ? [] : platforms) await kit.addNode(platform, given, await workspace.path())
    const result = await kit.finish(addons.flat())
    await rename(partial, directory)
    await syncPath(dirname(directory), 'directory')
    // A driver of FAT in user space leaves a renamed directory empty
    if (!(await isThere(join(directory, CHECKSUMS_FILE))))
      throw new StowageError(
        'MEDIUM_FAILED',
        `${directory} is empty after it got its name: its file system lost the files`,
        {
          hint: 'Make the kit on another disk, and copy it there.',
        },
      )
    return result
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw abortError(outputError(error, directory), signal)
  }
}

class Kit {
  readonly #root: string
  readonly #path: string
  readonly #options: KitOptions
  readonly #digests = new Map<string, Digest>()
  #size = 0

  constructor(root: string, path: string, options: KitOptions) {
    this.#root = root
    this.#path = path
    this.#options = options
  }

  async addNode(platform: KitPlatform, given: ReadonlyMap<KitPlatform, string>, scratch: string): Promise<void> {
    const { signal } = this.#options
    const name = nodeDirectory(platform)
    const unpacked = join(scratch, name)
    await unpackNode(
      await nodeTarball(platform, given, scratch, this.#options),
      NODE_PACKAGES[platform],
      unpacked,
      signal,
    )
    if (!(await isThere(join(unpacked, 'LICENSE')))) {
      const other = await nodeTarball(LICENCE_PLATFORM, given, scratch, this.#options)
      await unpackNode(other, { ...NODE_PACKAGES[LICENCE_PLATFORM], program: undefined }, unpacked, signal)
    }
    await this.#addTree(unpacked, join('node', name), 0o755)
    await rm(unpacked, { recursive: true })
  }

  /** Adds all else, and the checksums. */
  async finish(addons: readonly PackageFile[]): Promise<KitResult> {
    const { platforms, withoutNode = false, onProgress } = this.#options
    onProgress?.({ type: 'stage', stage: 'write', subject: this.#path })
    await this.#addTree(packageFile(COMMAND), join('app', 'dist'))
    await this.#addTree(packageFile('completions'), join('app', 'completions'))
    await this.#addFile(packageFile('package.json'), join('app', 'package.json'))
    await this.#addFile(packageFile('LICENSE'), 'LICENSE')
    for (const { from, name } of addons) await this.#addFile(from, join('app', name))
    const { version } = thisGenerator()
    const node = withoutNode ? undefined : NODE_RELEASE
    await this.#addText('stowage', SHELL_LAUNCHER, 0o755)
    await this.#addText('stowage.cmd', BATCH_LAUNCHER)
    await this.#addText('README.txt', kitReadme(version, platforms, node))
    await writeSynced(join(this.#root, CHECKSUMS_FILE), encodeChecksums(this.#digests))
    onProgress?.({ type: 'done', subject: this.#path })
    const files = this.#digests.size + 1
    return { path: this.#path, version, ...(node === undefined ? {} : { node }), platforms, files, size: this.#size }
  }

  async #addTree(from: string, to: string, mode?: number): Promise<void> {
    const entries = await readdir(from, { recursive: true, withFileTypes: true })
    for (const entry of entries) {
      if (!entry.isFile()) continue
      const file = join(entry.parentPath, entry.name)
      await this.#addFile(file, join(to, relative(from, file)), entry.name === 'LICENSE' ? undefined : mode)
    }
  }

  /** Not copyFile(), which sets modes, and fails where there are none. */
  async #addFile(from: string, to: string, mode = 0o644): Promise<void> {
    const target = join(this.#root, to)
    await mkdir(dirname(target), { recursive: true })
    try {
      await pipeline(
        createReadStream(from),
        createWriteStream(target, { mode, flush: true }),
        this.#options.signal ? { signal: this.#options.signal } : {},
      )
    } catch (error) {
      throw fileError(error, target)
    }
    await this.#count(to)
  }

  async #addText(to: string, text: string, mode = 0o644): Promise<void> {
    await writeSynced(join(this.#root, to), Buffer.from(text), mode)
    await this.#count(to)
  }

  async #count(name: string): Promise<void> {
    const { digest, size } = await hashFile(join(this.#root, name), { signal: this.#options.signal })
    this.#digests.set(name.split(sep).join('/'), digest)
    this.#size += size
  }
}

function packageFile(name: string): string {
  return fileURLToPath(new URL(name.split(sep).join('/'), PACKAGE_ROOT))
}

interface PackageFile {
  readonly from: string
  /** In the package. */
  readonly name: string
}

/** The addon for a platform with its licences: the one of the package, or in a checkout the one that was compiled there. */
async function addonOf(platform: KitPlatform, onNotice: KitOptions['onNotice']): Promise<readonly PackageFile[]> {
  const directory = join('prebuilds', ADDONS[platform])
  const prebuilt = await namesIn(packageFile(directory))
  if (prebuilt.includes('stowage.node'))
    return prebuilt.map(name => ({ from: packageFile(join(directory, name)), name: join(directory, name) }))
  const compiled = packageFile('build/Release/stowage.node')
  if (ADDONS[platform] !== `${process.platform}-${process.arch}` || !(await isThere(compiled))) {
    throw new StowageError('UNSUPPORTED', `this installation of Stowage has no addon for ${platform}`, {
      hint: 'The package on npm has the addons; in a checkout, npm run prebuilds makes them. Or name other platforms: --platform.',
    })
  }
  onNotice?.(`the addon for ${platform} was compiled on this machine, and needs a glibc as new as its own`)
  const licences = CONTAINED.map(name => ({
    from: join('/usr/share/doc', name, 'copyright'),
    name: join(directory, `${name}.copyright`),
  }))
  const there = await Promise.all(licences.map(async ({ from }) => await isThere(from)))
  return [{ from: compiled, name: join(directory, 'stowage.node') }, ...licences.filter((_, n) => there[n])]
}

async function namesIn(directory: string): Promise<readonly string[]> {
  return (await isThere(directory)) ? await readdir(directory) : []
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw fileError(error, path)
  }
}
