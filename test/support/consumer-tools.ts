/** Who takes bundles without Stowage: tools that copy or load what is in the directory or the tar. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BundleImage } from '../../src/bundle/manifest.js'
import { parseReference } from '../../src/oci/reference.js'
import { serveBundle } from '../../src/serve/serve.js'
import {
  type Consumer,
  diffIdsOf,
  digestAt,
  expectDone,
  expectInEngine,
  type MadeBundle,
  nameInEngine,
} from './consumers.js'
import { type Output, run, type TestEngine } from './engine.js'

/** Where a tool runs: another Debian, or this machine. */
export interface Place {
  /** A directory that it can write to, under the same path. */
  readonly work: string
  run(program: string, ...words: readonly string[]): Promise<Output>
  start(program: string, ...words: readonly string[]): ChildProcess
}

export const thisMachine = (work: string): Place => ({
  work,
  run: async (program, ...words) => await run(program, words),
  start: (program, ...words) => spawn('setpriv', ['--pdeathsig', 'TERM', program, ...words], { stdio: 'ignore' }),
})

/** A tool that copies or loads by itself; `found` gives the digests or diffIDs of what it has then. */
interface Tool {
  readonly title: string
  readonly command: string
  readonly measure: 'digests' | 'diffIDs'
  /** Digests of manifests, or diffIDs joined by blanks, that the tool has of `image`. Throws what it says. */
  found(image: BundleImage, bundle: MadeBundle): Promise<readonly string[]>
  /** Why this kind of tool does not take such a bundle: the first that holds. */
  readonly cannot?: readonly Reason[]
  readonly stop?: () => Promise<void>
}

/** A kind of bundle that a tool does not take, and what pack says of it unless the tool itself is made that way. */
interface Reason {
  readonly holds: (bundle: MadeBundle) => boolean
  readonly reason: string
  readonly said?: RegExp
}

function toolConsumer({ title, command, measure, found, cannot = [], stop }: Tool): Consumer {
  return {
    title,
    command,
    async take(bundle) {
      const { reason, said } = cannot.find(({ holds }) => holds(bundle)) ?? {}
      const failure = await missingOf(bundle).catch((error: unknown) => error as Error)
      if (failure === undefined && reason === undefined) return { whole: measure }
      if (failure === undefined) throw new Error(`${title} takes what it is said not to take: ${reason}`)
      if (reason === undefined) throw failure
      if (said && !said.test(bundle.notes)) throw new Error(`pack does not say: ${said.source}`)
      return { refused: reason }
    },
    stop: async () => await stop?.(),
  }

  async function missingOf(bundle: MadeBundle): Promise<Error | undefined> {
    for (const image of bundle.images) {
      const there = await found(image, bundle)
      const wanted = measure === 'diffIDs' ? diffIdsOf(image) : [image.root.digest]
      if (!there.some(each => wanted.includes(each))) return new Error(`${title} has ${there.join(', ') || 'nothing'}`)
    }
    return undefined
  }
}

const holdsArtifact = ({ images }: MadeBundle): boolean => images.some(({ platforms }) => platforms.length === 0)
const ARTIFACT: Reason = {
  holds: holdsArtifact,
  reason: 'it holds container images only',
  said: /is an artifact, not a container image: .* engines do not/,
}
const ROOTLESS: Reason = {
  holds: holdsArtifact,
  reason: 'ctr unpacks all that it imports, and an artifact has nothing to unpack',
  said: /containerd 1\.6 fails on a tar that holds one/,
}
const NAMELESS: Reason = {
  holds: ({ images }) => images.some(({ names }) => names.every(name => parseReference(name).tag === undefined)),
  reason: 'it selects images by tag',
}
const ZSTD: Reason = {
  holds: ({ title }) => title.includes('zstd'),
  reason: 'it does not read zstd layers',
  said: /has zstd layers, which Docker 20\.10 and umoci 0\.4 cannot read/,
}
const WINDOWS: Reason = {
  holds: ({ title }) => title.includes('Windows'),
  reason: 'a Linux engine does not hold Windows images',
  said: /Some images are for Windows: "docker load" on Linux fails at them/,
}
const SEVERAL: Reason = { holds: ({ images }) => images.length > 1, reason: 'it takes a directory of one image only' }
const INDEX: Reason = {
  holds: ({ images }) => images.some(({ root }) => root.mediaType.includes('index')),
  reason: 'it takes no index of several platforms',
}

/** The `ref.name` of the image in index.json, by which tools select it. */
function refNameOf(image: BundleImage, bundle: MadeBundle): string | undefined {
  const index = JSON.parse(readFileSync(join(bundle.directory, 'index.json'), 'utf8')) as {
    manifests: { digest: string; annotations?: Record<string, string> }[]
  }
  return index.manifests.find(({ digest }) => digest === image.root.digest)?.annotations?.[
    'org.opencontainers.image.ref.name'
  ]
}

/** Where two images have one tag, `ref.name` is their full name, which oras does not take. */
const isTag = (name: string): boolean => /^[\w.-]+$/.test(name)

const scratch = (place: Place, name: string): string => mkdtempSync(join(place.work, `${name}-`))

async function versionOf(place: Place, program: string, ...words: readonly string[]): Promise<string> {
  const said = expectDone(await place.run(program, ...words), program)
  return /(\d+\.\d+\S*)/.exec(said)?.[1] ?? 'of an unknown version'
}

const rootsOf = (layout: string): readonly string[] => {
  const { manifests } = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as {
    manifests: { digest: string }[]
  }
  return manifests.map(({ digest }) => digest)
}

export async function skopeoConsumer(place: Place): Promise<Consumer> {
  return toolConsumer({
    title: `skopeo ${await versionOf(place, 'skopeo', '--version')}`,
    command: 'skopeo copy --all oci:BUNDLE:NAME …, oci-archive:BUNDLE.tar:NAME …',
    measure: 'digests',
    async found(image, bundle) {
      const target = join(scratch(place, 'skopeo'), 'x')
      const name = refNameOf(image, bundle) ?? ''
      for (const [at, from] of [`oci:${bundle.directory}`, `oci-archive:${bundle.tar}`].entries()) {
        const words = ['--insecure-policy', 'copy', '--all', `${from}:${name}`, `oci:${target}:n${at}`]
        expectDone(await place.run('skopeo', ...words), `skopeo copy ${from}`)
      }
      const [first, ...rest] = rootsOf(target)
      return first !== undefined && rest.every(digest => digest === first) ? [first] : []
    },
  })
}

/** skopeo, of a bundle that is served. */
export async function servedConsumer(place: Place): Promise<Consumer> {
  return toolConsumer({
    title: `skopeo ${await versionOf(place, 'skopeo', '--version')}, served`,
    command: 'stowage serve BUNDLE; skopeo copy --all docker://HOST/NAME …',
    measure: 'digests',
    async found(image, bundle) {
      await using served = await serveBundle([bundle.directory], { listen: '127.0.0.1:0' })
      const { path, tag } = parseReference(image.names[0] ?? '')
      const from = `docker://${new URL(served.address.url).host}/${path}${tag ? `:${tag}` : `@${image.root.digest}`}`
      const target = join(scratch(place, 'served'), 'x')
      const words = ['--insecure-policy', 'copy', '--all', '--src-tls-verify=false', from, `oci:${target}:x`]
      expectDone(await place.run('skopeo', ...words), `skopeo copy ${from}`)
      return rootsOf(target)
    },
  })
}

export async function podmanConsumer(place: Place): Promise<Consumer> {
  const store = scratch(place, 'podman')
  const places = ['--root', join(store, 'root'), '--runroot', join(store, 'run'), '--storage-driver', 'vfs']
  const podman = async (...words: string[]): Promise<Output> =>
    await place.run('podman', ...places, '--cgroup-manager', 'cgroupfs', ...words)
  return toolConsumer({
    title: `podman ${await versionOf(place, 'podman', '--version')}`,
    command: 'podman load -i BUNDLE.tar',
    measure: 'diffIDs',
    cannot: [ARTIFACT, NAMELESS],
    async found(image, bundle) {
      const name = image.names.find(each => parseReference(each).tag !== undefined) ?? ''
      expectDone(await podman('load', '-q', '-i', bundle.tar), 'podman load')
      const found = await podman('image', 'inspect', '--format', '{{json .RootFS.Layers}}', name)
      return [(JSON.parse(expectDone(found, 'podman image inspect')) as string[]).join(' ')]
    },
  })
}

/** The commands by which clusters take archives: kind's own, and that of k3s and rke2. */
const IMPORTS = {
  kind: ['--all-platforms', '--digests', '--snapshotter=overlayfs', '-'],
  k3s: ['--all-platforms', '-'],
} as const

/** containerd, with the flags of kind or of k3s. */
export async function ctrConsumer(place: Place, kind: keyof typeof IMPORTS): Promise<Consumer> {
  const directory = scratch(place, 'ctr')
  const socket = join(directory, 's')
  const words = ['--root', join(directory, 'root'), '--state', join(directory, 'state'), '--address', socket]
  const daemon = place.start('containerd', ...words, '--log-level', 'error')
  for (const start = Date.now(); !existsSync(socket) && Date.now() - start < 30_000;) await sleep(100)
  const version = await versionOf(place, 'containerd', '--version')
  const ctr = `ctr --address ${socket} --namespace k8s.io`
  return toolConsumer({
    title: `containerd ${version}, as ${kind} does`,
    command: `ctr -n k8s.io images import ${IMPORTS[kind].join(' ')} < BUNDLE.tar`,
    measure: 'digests',
    cannot: version.startsWith('1.6') ? [ROOTLESS] : [],
    async found(image, bundle) {
      const imported = await place.run('sh', '-c', `${ctr} images import ${IMPORTS[kind].join(' ')} < ${bundle.tar}`)
      expectDone(imported, 'ctr images import')
      const [name] = image.names
      const rows = expectDone(await place.run('sh', '-c', `${ctr} images list`), 'ctr images list')
        .trim()
        .split('\n')
      const fields = rows.slice(1).map(row => row.split(/\s+/))
      return fields.filter(([ref]) => ref === name).map(([, , digest = '']) => digest)
    },
    stop: async () => {
      const ended = new Promise(resolve => daemon.once('close', resolve))
      if (daemon.kill()) await ended
    },
  })
}

/** crane and oras: they push a bundle directory to a registry. */
export async function craneConsumer(place: Place, domain: string): Promise<Consumer> {
  let count = 0
  return toolConsumer({
    title: `crane ${await versionOf(place, 'crane', 'version')}`,
    command: 'crane push BUNDLE REGISTRY/NAME',
    measure: 'digests',
    cannot: [SEVERAL],
    async found(_image, bundle) {
      const to = `${domain}/crane/n${(count += 1)}:x`
      // The bundle's own index.json is what crane pushes where an image has several platforms
      const words = ['push', '--insecure', bundle.directory, to]
      expectDone(await place.run('crane', ...words), 'crane push')
      return [await digestAt(`docker://${to}`)]
    },
  })
}

export async function orasConsumer(place: Place, domain: string): Promise<Consumer> {
  let count = 0
  return toolConsumer({
    title: `oras ${await versionOf(place, 'oras', 'version')}`,
    command: 'oras copy --from-oci-layout BUNDLE:TAG|@DIGEST REGISTRY/NAME',
    measure: 'digests',
    async found(image, bundle) {
      const to = `${domain}/oras/n${(count += 1)}:x`
      const name = refNameOf(image, bundle) ?? ''
      const from = `${bundle.directory}${isTag(name) ? `:${name}` : `@${image.root.digest}`}`
      expectDone(await place.run('oras', 'copy', '--from-oci-layout', '--to-plain-http', from, to), 'oras copy')
      return [await digestAt(`docker://${to}`)]
    },
  })
}

export async function umociConsumer(place: Place): Promise<Consumer> {
  const version = await versionOf(place, 'umoci', '--version')
  return toolConsumer({
    title: `umoci ${version}`,
    command: 'umoci raw unpack --image BUNDLE:NAME …',
    measure: 'digests',
    cannot: [ARTIFACT, INDEX, ...(version.startsWith('0.4') ? [ZSTD] : [])],
    async found(image, bundle) {
      const target = join(scratch(place, 'umoci'), 'x')
      const from = `${bundle.directory}:${refNameOf(image, bundle) ?? ''}`
      expectDone(await place.run('umoci', 'raw', 'unpack', '--image', from, target), 'umoci raw unpack')
      return existsSync(target) ? [image.root.digest] : []
    },
  })
}

/** An engine that loads the tar by its own command. */
export function dockerLoadConsumer(engine: TestEngine, title: string): Consumer {
  return toolConsumer({
    title,
    command: 'docker load -i BUNDLE.tar',
    measure: 'diffIDs',
    cannot: [
      ARTIFACT,
      ...(title.includes('graphdriver') ? [WINDOWS] : []),
      ...(title.startsWith('Docker 20') ? [ZSTD] : []),
    ],
    async found(image, bundle) {
      expectDone(await engine.docker('load', '-i', bundle.tar), 'docker load')
      const id = title.includes('graphdriver') ? image.platforms[0]?.config : image.root.digest
      await expectInEngine(engine, image, nameInEngine(image) ?? id ?? '')
      return diffIdsOf(image)
    },
  })
}
