/** A host of a test's own that installs base OS images: its sources, its store, its place for temporary files; and WIM files for it. */
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { emptyHive } from '../../fixtures/make/hive.js'
import { type CommandOptions, type CommandResult, stowage } from './command.js'
import { startServer } from './registry.js'
import { directoryWim, richWim, wimlib } from './wims.js'

/** NanoServer 10.0.14300.1010 for amd64, small, with all that a host wants of a base image. */
export const SAMPLE = fileURLToPath(new URL('../../fixtures/nanoserver-sample.wim', import.meta.url))

export interface TestHost {
  readonly root: string
  readonly env: Readonly<Record<string, string>>
  run(words: readonly string[], options?: CommandOptions): Promise<CommandResult>
  /** Every file below store, bundle, state and temporary files, with its SHA-256. */
  listing(): readonly string[]
}

/** No engine is on it unless `env` names one. `wims`: a folder for WIM files, registered as nothing. */
export function testHost(t: Test, more: Readonly<Record<string, string>> = {}): TestHost {
  const root = mkdtempSync(join(tmpdir(), 'stowage-host-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  for (const name of ['conf', 'tmp', 'wims', 'home']) mkdirSync(join(root, name))
  const env = {
    STOWAGE_CONFIG: join(root, 'conf'),
    STOWAGE_STORE: join(root, 'store'),
    TMPDIR: join(root, 'tmp'),
    HOME: join(root, 'home'),
    DOCKER_CONFIG: join(root, 'home'),
    ...more,
  }
  return {
    root,
    env,
    run: async (words, options) => await stowage(words, { cwd: root, env, ...options }),
    listing: () =>
      readdirSync(root, { recursive: true, withFileTypes: true })
        .map(entry => {
          const path = join(entry.parentPath, entry.name)
          const sum = entry.isFile()
            ? createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 12)
            : 'directory'
          return `${path.slice(root.length + 1)} ${sum}`
        })
        .sort(),
  }
}

/** The sample at `path`, with these properties of its XML changed: `WINDOWS/ARCH=12`. */
export function sampleWim(path: string, ...properties: readonly string[]): string {
  mkdirSync(dirname(path), { recursive: true })
  copyFileSync(SAMPLE, path)
  if (properties.length > 0) wimlib('info', path, '1', ...properties.map(property => `--image-property=${property}`))
  return path
}

/** For {@link sampleWim}: 10.0.BUILD.REVISION. */
export function versionProperties(build: number, revision: number): readonly string[] {
  return [`WINDOWS/VERSION/BUILD=${build}`, `WINDOWS/VERSION/SPBUILD=${revision}`]
}

/** A rich one at `path`: `WindowsServerCore` of version `10.0.14393.0`, with a file that no other version has. */
export function richBaseWim(t: Test, path: string, name: string, version: string): void {
  const [major, minor, build, revision] = version.split('.')
  mkdirSync(dirname(path), { recursive: true })
  copyFileSync(richWim(t), path)
  const own = join(dirname(path), `.${name}-${version}`)
  writeFileSync(own, `${name} ${version}\n`)
  utimesSync(own, new Date('2016-10-12T00:00:00Z'), new Date('2016-10-12T00:00:00Z'))
  wimlib('update', path, '1', `--command=add ${own} /Windows/build.txt`)
  rmSync(own)
  const parts = { MAJOR: major, MINOR: minor, BUILD: build, SPBUILD: revision }
  wimlib(
    'info',
    path,
    '1',
    name,
    ...Object.entries(parts).map(([part, value]) => `--image-property=WINDOWS/VERSION/${part}=${value}`),
  )
}

const CONFIG = 'Windows/System32/config'

/** What a host wants of a base image, beside other `files`. */
export function baseFiles(files: Readonly<Record<string, Uint8Array>> = {}): Readonly<Record<string, Uint8Array>> {
  const hives = ['DEFAULT', 'SAM', 'SECURITY', 'SOFTWARE', 'SYSTEM'].map(name => [`${CONFIG}/${name}`, emptyHive(name)])
  return { ...Object.fromEntries(hives), ...files } as Readonly<Record<string, Uint8Array>> // pairs of a path and its bytes
}

/** A base image of a directory: `files` beside what it must have. */
export function filledWim(t: Test, files: Readonly<Record<string, Uint8Array>>, args: readonly string[] = []): string {
  const wim = directoryWim(t, { files: baseFiles(files), name: 'NanoServer', args })
  const version = ['MAJOR=10', 'MINOR=0', 'BUILD=14300', 'SPBUILD=1010'].map(
    part => `--image-property=WINDOWS/VERSION/${part}`,
  )
  wimlib('info', wim, '1', '--image-property=WINDOWS/ARCH=9', ...version)
  return wim
}

/** A server as {@link startServer} starts it: its address. */
export async function serveWeb(t: Test, listener: RequestListener): Promise<string> {
  return `http://${await startServer(t, listener)}`
}
