/** Programs that take bundles: each says of a bundle whether all of it arrived, or why it is refused. */
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BundleImage } from '../../src/bundle/manifest.js'
import { familiarReference, parseReference } from '../../src/oci/reference.js'
import { stowage } from './command.js'
import { startContainerdEngine } from './containerd-engine.js'
import { type Output, startEngine, type TestEngine } from './engine.js'

/** A bundle of the matrix, as a directory and as a tar. */
export interface MadeBundle {
  readonly title: string
  readonly directory: string
  readonly tar: string
  readonly images: readonly BundleImage[]
}

/** What became of a bundle: all of it is there, or it was refused or left out with a reason before any of it was sent. */
export type Outcome = { readonly whole: string } | { readonly refused: string }

export interface Consumer {
  /** The row of the page: `Docker 20.10.24, overlay2`. */
  readonly title: string
  /** What a person types. */
  readonly command: string
  /** Throws if the bundle arrives damaged or fails without being refused. */
  take(bundle: MadeBundle): Promise<Outcome>
  stop(): Promise<void>
}

async function runIn(file: string, words: readonly string[]): Promise<Output> {
  return await new Promise(resolve => {
    execFile(file, words, { maxBuffer: 1 << 26, timeout: 300_000 }, (error, stdout, stderr) => {
      const code = !error ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ stdout, stderr: stderr || (error?.message ?? ''), code })
    })
  })
}

function expectDone({ code, stdout, stderr }: Output, what: string): string {
  if (code !== 0) throw new Error(`${what}: ${stderr.trim() || stdout.trim()}`)
  return stdout
}

/** What Stowage says of a bundle that it does not send: the first sentence of its error, or why it left images out. */
interface LoadReport {
  readonly images: readonly {
    names: string[]
    id?: string
    sent: number
    leftOut?: string
    error?: { message: string }
  }[]
}

/** Loads with the command, and checks that what was refused sent nothing. */
async function load(bundle: MadeBundle, to: readonly string[]): Promise<{ report?: LoadReport; refused?: string }> {
  const { stdout, stderr, code } = await stowage(['load', bundle.directory, ...to, '--json'])
  const report = stdout === '' ? undefined : (JSON.parse(stdout) as LoadReport)
  if (!report?.images) return { refused: sentence(stderr) }
  const problem = report.images.find(({ error, leftOut }) => error ?? leftOut)
  if (!problem) {
    if (code !== 0) throw new Error(`load says nothing of its exit code ${code}: ${stderr}`)
    return { report }
  }
  if (problem.sent > 0) throw new Error(`${problem.names[0]} failed after ${problem.sent} bytes: ${stderr}`)
  return { report, refused: problem.leftOut ? `left out: ${problem.leftOut}` : sentence(problem.error?.message ?? '') }
}

const sentence = (text: string): string => text.replace(/^stowage: /, '').split('\n')[0] ?? ''
const diffIdsOf = (image: BundleImage): readonly string[] =>
  image.platforms.map(({ layers }) => layers.map(({ diffId }) => diffId).join(' '))

/** A Docker Engine, loaded by Stowage and asked by docker. */
function engineConsumer(engine: TestEngine, title: string): Consumer {
  return {
    title,
    command: 'stowage load BUNDLE',
    async take(bundle) {
      const { report, refused } = await load(bundle, ['--host', engine.host])
      let whole = 0
      for (const [at, image] of bundle.images.entries()) {
        const { id, error, leftOut } = report?.images[at] ?? {}
        if (error || leftOut || id === undefined) continue
        const name = image.names.map(parseReference).find(({ tag }) => tag !== undefined)
        const subject = name ? familiarReference(name) : id
        const found = await engine.docker('image', 'inspect', '--format', '{{json .RootFS.Layers}}', subject)
        const layers = (JSON.parse(expectDone(found, `docker image inspect ${subject}`)) as string[]).join(' ')
        if (!diffIdsOf(image).includes(layers)) throw new Error(`${subject} has other layers in ${title}`)
        whole += 1
        await engine.docker('image', 'rm', '--force', subject)
      }
      if (refused === undefined) return { whole: 'diffIDs' }
      return { refused: whole > 0 ? `${refused} (${whole} of ${bundle.images.length} loaded)` : refused }
    },
    stop: async () => await engine.stop(),
  }
}

/** A registry, pushed to by Stowage and asked by skopeo. */
function registryConsumer(domain: string, title: string): Consumer {
  return {
    title,
    command: 'stowage load BUNDLE --to docker://REGISTRY',
    async take(bundle) {
      const to = `docker://${domain}/site`
      const { report, refused } = await load(bundle, ['--to', to])
      if (refused !== undefined) return { refused }
      let stripped = false
      for (const [at, image] of bundle.images.entries()) {
        const { path, tag } = parseReference(image.names[0] ?? '')
        const place = `${to}/${path}`
        const digest = report?.images[at]?.id ?? ''
        const raw = expectDone(
          await runIn('skopeo', [
            'inspect',
            '--raw',
            '--tls-verify=false',
            `${place}${tag ? `:${tag}` : `@${digest}`}`,
          ]),
          'skopeo inspect',
        )
        const { createHash } = await import('node:crypto')
        if (`sha256:${createHash('sha256').update(raw).digest('hex')}` !== digest) throw new Error(`${place} differs`)
        stripped ||= digest !== (image.original ?? image.root).digest
      }
      return { whole: stripped ? 'digests (of the index without absent platforms, as Stowage says)' : 'digests' }
    },
    stop: async () => undefined,
  }
}

/** A tool that copies or loads by itself; `take` gives the digests or diffIDs of what it has then. */
interface Tool {
  readonly title: string
  readonly command: string
  readonly measure: 'digests' | 'diffIDs'
  /** Digests of manifests, or diffIDs joined by blanks, that the tool found of `image`. Throws what it says. */
  found(image: BundleImage, bundle: MadeBundle): Promise<readonly string[]>
  /** Why the tool cannot take such a bundle, said in `docs`: undefined if it can. */
  readonly cannot?: (bundle: MadeBundle) => string | undefined
  readonly stop?: () => Promise<void>
}

function toolConsumer({ title, command, measure, found, cannot, stop }: Tool): Consumer {
  return {
    title,
    command,
    async take(bundle) {
      const reason = cannot?.(bundle)
      for (const image of reason === undefined ? bundle.images : []) {
        const there = await found(image, bundle)
        const wanted = measure === 'diffIDs' ? diffIdsOf(image) : [image.root.digest]
        if (!there.some(each => wanted.includes(each))) throw new Error(`${title} has ${there.join(', ')}`)
      }
      return reason === undefined ? { whole: measure } : { refused: reason }
    },
    stop: async () => await stop?.(),
  }
}

const tagOf = ({ names }: BundleImage): string | undefined => names.map(name => parseReference(name).tag).find(Boolean)
/** The `ref.name` of the image in index.json, by which tools select it. */
function refNameOf(image: BundleImage, bundle: MadeBundle): string | undefined {
  const index = JSON.parse(readFileSync(join(bundle.directory, 'index.json'), 'utf8')) as {
    manifests: { digest: string; annotations?: Record<string, string> }[]
  }
  return index.manifests.find(({ digest }) => digest === image.root.digest)?.annotations?.[
    'org.opencontainers.image.ref.name'
  ]
}
const withoutName = ({ images }: MadeBundle): string | undefined =>
  images.some(image => tagOf(image) === undefined)
    ? 'it selects images by tag; name it by digest with another tool'
    : undefined
/** skopeo of this machine. */
export async function skopeoConsumer(work: string): Promise<Consumer> {
  const run = async (...words: string[]): Promise<Output> => await runIn('skopeo', words)
  const version = expectDone(await run('--version'), 'skopeo')
    .replace(/^skopeo version /, '')
    .trim()
  let count = 0
  return toolConsumer({
    title: `skopeo ${version}`,
    command: 'skopeo copy --all oci:BUNDLE:NAME …',
    measure: 'digests',
    cannot: withoutName,
    async found(image, bundle) {
      const target = join(work, `skopeo-${(count += 1)}`)
      const name = refNameOf(image, bundle) ?? ''
      const policy = '--insecure-policy'
      expectDone(
        await run(policy, 'copy', '--all', `oci:${bundle.directory}:${name}`, `oci:${target}:x`),
        'skopeo copy',
      )
      expectDone(
        await run(policy, 'copy', '--all', `oci-archive:${bundle.tar}:${name}`, `oci:${target}:y`),
        'skopeo copy',
      )
      const index = JSON.parse(readFileSync(join(target, 'index.json'), 'utf8')) as { manifests: { digest: string }[] }
      const digests = index.manifests.map(({ digest }) => digest)
      return digests.every(digest => digest === digests[0]) ? digests.slice(0, 1) : []
    },
  })
}

/** containerd and ctr of this machine, with the flags of kind. */
export async function ctrConsumer(work: string): Promise<Consumer> {
  const directory = join(work, 'containerd')
  mkdirSync(directory)
  const socket = join(directory, 's')
  const words = ['--root', join(directory, 'root'), '--state', join(directory, 'state'), '--address', socket]
  const daemon = spawn('containerd', [...words, '--log-level', 'error'], { stdio: 'ignore' })
  for (const start = Date.now(); !existsSync(socket) && Date.now() - start < 30_000;) await sleep(100)
  const run = async (...more: string[]): Promise<Output> => {
    const all = ['--address', socket, '--namespace', 'k8s.io', ...more]
    return await runIn('ctr', all)
  }
  const version = /Version: +v?(\S+)/.exec((await run('version')).stdout)?.[1] ?? 'of an unknown version'
  return toolConsumer({
    title: `containerd ${version}`,
    command: 'ctr -n k8s.io images import --all-platforms --digests --no-unpack BUNDLE.tar',
    measure: 'digests',
    async found(image, bundle) {
      expectDone(
        await run('images', 'import', '--all-platforms', '--digests', '--no-unpack', bundle.tar),
        'ctr images import',
      )
      const name = image.names.find(each => parseReference(each).tag !== undefined)
      const [, ...rows] = expectDone(await run('images', 'list'), 'ctr images list')
        .trim()
        .split('\n')
      const fields = rows.map(row => row.split(/\s+/))
      return fields.filter(([ref = '']) => name === undefined || ref === name).map(([, , digest = '']) => digest)
    },
    stop: async () => {
      const ended = new Promise(resolve => daemon.once('close', resolve))
      if (daemon.kill()) await ended
    },
  })
}

/** The engines: of this machine, and of a newer release with containerd's store. */
export const ENGINES: Readonly<Record<string, () => Promise<Consumer>>> = {
  'Docker 20.10': async () => await engineOf(await startEngine(), 'graphdriver'),
  'Docker 26.1': async () => await engineOf(await startContainerdEngine(), 'containerd'),
}

async function engineOf(engine: TestEngine, store: string): Promise<Consumer> {
  const version = (await engine.docker('version', '--format', '{{.Server.Version}}')).stdout.trim()
  return engineConsumer(engine, `Docker ${version}, ${store} store`)
}

export { registryConsumer }
