/** Who takes bundles through Stowage: engines and registries. Each says of a bundle whether all of it arrived, or why not. */
import { createHash } from 'node:crypto'
import type { BundleImage } from '../../src/bundle/manifest.js'
import { familiarReference, parseReference } from '../../src/oci/reference.js'
import { stowage } from './command.js'
import { startDebianEngine } from './debian-engine.js'
import { type Output, run, startEngine, type TestEngine } from './engine.js'

/** A bundle of the matrix, as a directory and as a tar. */
export interface MadeBundle {
  readonly title: string
  readonly directory: string
  readonly tar: string
  readonly images: readonly BundleImage[]
  /** What pack said of it. */
  readonly notes: string
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

export function expectDone({ code, stdout, stderr }: Output, what: string): string {
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
export const diffIdsOf = (image: BundleImage): readonly string[] =>
  image.platforms.map(({ layers }) => layers.map(({ diffId }) => diffId).join(' '))

/** A Docker Engine, loaded by Stowage and asked by docker; whoever started it ends it. */
export function engineConsumer(engine: TestEngine, title: string): Consumer {
  return {
    title,
    command: 'stowage load BUNDLE',
    async take(bundle) {
      const { report, refused } = await load(bundle, ['--host', engine.host])
      let whole = 0
      for (const [at, image] of bundle.images.entries()) {
        const { id, error, leftOut } = report?.images[at] ?? {}
        if (error || leftOut || id === undefined) continue
        await expectInEngine(engine, image, nameInEngine(image) ?? id)
        whole += 1
      }
      if (refused === undefined) return { whole: 'diffIDs' }
      return { refused: whole > 0 ? `${refused} (${whole} of ${bundle.images.length} loaded)` : refused }
    },
    stop: async () => undefined,
  }
}

/** Throws if `subject` has other layers in the engine than `image` has; removes it there. */
export async function expectInEngine(engine: TestEngine, image: BundleImage, subject: string): Promise<void> {
  const found = await engine.docker('image', 'inspect', '--format', '{{json .RootFS.Layers}}', subject)
  const layers = (JSON.parse(expectDone(found, `docker image inspect ${subject}`)) as string[]).join(' ')
  if (!diffIdsOf(image).includes(layers)) throw new Error(`${subject} has other layers`)
  await engine.docker('image', 'rm', '--force', subject)
}

/** How docker names the image; undefined without a tag. */
export function nameInEngine({ names }: BundleImage): string | undefined {
  const name = names.map(parseReference).find(({ tag }) => tag !== undefined)
  return name && familiarReference(name)
}

/** The digest of what a registry has under `docker://…`, as skopeo fetches it. */
export async function digestAt(place: string): Promise<string> {
  const raw = expectDone(await run('skopeo', ['inspect', '--raw', '--tls-verify=false', place]), 'skopeo inspect')
  return `sha256:${createHash('sha256').update(raw).digest('hex')}`
}

/** A registry, pushed to by Stowage and asked by skopeo. */
export function registryConsumer(domain: string, title: string): Consumer {
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
        const found = await digestAt(`${place}${tag ? `:${tag}` : `@${digest}`}`)
        if (found !== digest) throw new Error(`${place} differs`)
        stripped ||= digest !== (image.original ?? image.root).digest
      }
      return { whole: stripped ? 'digests (of the index without absent platforms, as Stowage says)' : 'digests' }
    },
    stop: async () => undefined,
  }
}

/** Each engine of this machine and of newer releases, with each of its stores. */
export const ENGINES: Readonly<Record<string, () => Promise<TestEngine>>> = {
  'Docker 20.10, graphdriver store': startEngine,
  'Docker 26.1, graphdriver store': async () => await startDebianEngine('trixie', 'graphdriver'),
  'Docker 26.1, containerd store': async () => await startDebianEngine('trixie', 'containerd'),
  'Docker 28, graphdriver store': async () => await startDebianEngine('forky', 'graphdriver'),
  'Docker 28, containerd store': async () => await startDebianEngine('forky', 'containerd'),
}

/** `title` with the version that the engine names. */
export async function titleOf(engine: TestEngine, title: string): Promise<string> {
  const version = (await engine.docker('version', '--format', '{{.Server.Version}}')).stdout.trim()
  return title.replace(/Docker \S+,/, `Docker ${version},`)
}
