/**
 * Commands other than pack and copy to a place on disk that are interrupted: the same command sends and fetches nothing
 * twice that was whole.
 */
import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CatalogEntry } from '../../src/base-image/catalog.js'
import { installImages } from '../../src/base-image/install.js'
import { saveImage } from '../../src/base-image/save.js'
import { saveImageParts } from '../../src/base-image/save-parts.js'
import { copy } from '../../src/verbs/copy.js'
import { loadBundle } from '../../src/verbs/load.js'
import { pack } from '../../src/verbs/pack.js'
import { prune } from '../../src/verbs/prune.js'
import { pullImages } from '../../src/verbs/pull.js'
import { pushImages } from '../../src/verbs/push.js'
import type { ProgressEvent } from '../../src/progress.js'
import { digestOf } from '../../src/oci/digest.js'
import { filledWim, serveWeb } from '../support/base-images.js'
import { stowage } from '../support/command.js'
import { layeredImage, noise, writeLayout } from '../support/images.js'
import { pushWithSkopeo, startFaultyProxy, startRegistry } from '../support/registry.js'
import { scratch } from '../support/scratch.js'

const SIZE = 1_500_000
const root = scratch(t)
const registry = await startRegistry(t)
const image = await layeredImage(4, { size: SIZE })
const layers: readonly string[] = image.layers.map(({ digest }) => digest)
const layout = join(root, 'layout')
await writeLayout(layout, { 'docker.io/team/shop:2.3': image })
await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
const bundle = join(root, 'site')
await pack([{ image: `oci:${layout}`, names: ['team/shop:2.3'] }], bundle)
/** `npm run test:kills` sets it. */
const everyEvent = process.env['STOWAGE_EVERY_EVENT'] !== undefined

type Interruption = 'kill -9' | keyof typeof ENDS

/** One that ends by itself says what to do. */
const ENDS = {
  'Ctrl-C': { code: 'ABORTED', hint: /Run the same command again to resume\.$/ },
  'a lost network': {
    code: 'REGISTRY_UNREACHABLE',
    hint: /Once the registry can be reached, the same command resumes\.$/,
  },
} as const

interface Form {
  /** `place` is a directory of its own, `host` that of a registry which counts. */
  readonly words: (host: string, place: string) => readonly string[]
  readonly call: (host: string, place: string, signal?: AbortSignal) => Promise<unknown>
  /** The layer that a request carries. */
  readonly carries: RegExp
  /** The image as skopeo finds it, once it is there. */
  readonly result: (domain: string, place: string) => string
}

const UPLOAD = /^(?:PUT|PATCH) .*\/blobs\/uploads\/.*digest=(sha256(?::|%3A)[0-9a-f]{64})/
const failedNone = (images: readonly { readonly error?: Error | undefined }[]): void => {
  for (const { error } of images) if (error) throw error
}
const FORMS: Readonly<Record<string, Form>> = {
  'load --to docker://': {
    words: host => ['load', bundle, '--to', `docker://${host}/load`, '--jobs', '1'],
    call: async (host, _place, signal) => {
      failedNone((await loadBundle(bundle, { to: `docker://${host}/load`, jobs: 1, signal })).images)
    },
    carries: UPLOAD,
    result: domain => `docker://${domain}/load/team/shop:2.3`,
  },
  'copy to docker://': {
    words: host => ['copy', `oci:${layout}`, `docker://${host}/copied/shop:2.3`, '--jobs', '1'],
    call: async (host, _place, signal) =>
      await copy(`oci:${layout}`, `docker://${host}/copied/shop:2.3`, { jobs: 1, signal }),
    carries: UPLOAD,
    result: domain => `docker://${domain}/copied/shop:2.3`,
  },
  push: {
    words: (host, place) => ['push', `${host}/pushed/shop:2.3`, '--from', `oci:${join(place, 'store')}`, '--jobs', '1'],
    call: async (host, place, signal) => {
      failedNone(
        (await pushImages([`${host}/pushed/shop:2.3`], { from: `oci:${join(place, 'store')}`, jobs: 1, signal }))
          .images,
      )
    },
    carries: UPLOAD,
    result: domain => `docker://${domain}/pushed/shop:2.3`,
  },
  'pull --to oci:': {
    words: (host, place) => ['pull', `${host}/team/shop:2.3`, '--to', `oci:${join(place, 'pulled')}`, '--jobs', '1'],
    call: async (host, place, signal) => {
      failedNone(
        (await pullImages([`${host}/team/shop:2.3`], { to: `oci:${join(place, 'pulled')}`, jobs: 1, signal })).images,
      )
    },
    carries: /^GET .*\/blobs\/(sha256:[0-9a-f]{64})/,
    result: (_domain, place) => `oci:${join(place, 'pulled')}`,
  },
}

for (const [number, [name, form]] of Object.entries(FORMS).entries()) {
  t.test(`${name} goes on after interruptions`, async t => {
    const events = (['kill -9', 'Ctrl-C', 'a lost network'] as const).filter(
      (_, n) => everyEvent || (n + number) % 3 < 1,
    )
    for (const event of events) await interruptedTransfer(t, form, event)
  })
}

/** Interrupts the form at its third layer, and runs it again. */
async function interruptedTransfer(t: Test, form: Form, event: Interruption): Promise<void> {
  const place = scratch(t)
  const server = form.carries === UPLOAD ? await startRegistry(t) : registry // an empty one
  const controller = new AbortController()
  let child: ChildProcess | undefined
  let [happened, lost] = [false, false]
  const carried: string[] = []
  const proxy = await startFaultyProxy(t, server, (request, response) => {
    const digest = form.carries.exec(`${request.method} ${request.url}`)?.[1]?.replace('%3A', ':')
    if (digest !== undefined && layers.includes(digest) && carried.at(-1) !== digest) carried.push(digest)
    if (!happened && carried.length === 3) {
      happened = true
      if (event === 'kill -9') child?.kill('SIGKILL')
      else if (event === 'Ctrl-C') controller.abort()
      else lost = true
      if (event !== 'a lost network') return 'answered' // nothing comes any more
    }
    if (!lost) return undefined
    response.destroy()
    return 'answered'
  })
  const host = proxy.domain
  await copy(`oci:${layout}`, `oci:${join(place, 'store')}`, { name: `${host}/pushed/shop:2.3` })
  if (event === 'kill -9') t.not((await stowage(form.words(host, place), { onSpawn: one => (child = one) })).code, 0)
  else await t.rejects(form.call(host, place, controller.signal), ENDS[event])
  t.equal(happened, true, event)
  t.not(
    spawnSync('skopeo', ['inspect', '--tls-verify=false', form.result(server.domain, place)]).status,
    0,
    'no image is there',
  )
  lost = false
  const first = carried.splice(0).slice(0, 2)
  await form.call(host, place)
  t.same(
    carried.filter(digest => first.includes(digest)),
    [],
    `${event}: what was whole is not carried again`,
  )
  const raw = execFileSync('skopeo', ['inspect', '--raw', '--tls-verify=false', form.result(server.domain, place)])
  t.equal(digestOf(raw), image.root.digest, 'the image is there')
  const { workspaces, files } = await prune([place, join(place, 'store')], { dryRun: true })
  t.same([...workspaces, ...files], [], `${event}: nothing else is left`)
}

const FILE = 'NanoServer-10-0-14300-1010.wim'
const wim = readFileSync(
  filledWim(t, Object.fromEntries([0, 1, 2, 3].map(n => [`Windows/${n}`, noise(SIZE, `wim-${n}`)]))),
)
const sha256 = digestOf(wim).slice('sha256:'.length)

/** What takes a WIM from the web. */
interface Taker {
  readonly words: (place: string) => readonly string[]
  readonly call: (entry: CatalogEntry, place: string, options: Taking) => Promise<unknown>
  /** Fails if the result is not what other programs take. */
  readonly judge: (place: string) => unknown
  /** Where it is while it is fetched: beside the output, or with other temporary files. */
  readonly beside: boolean
}
interface Taking {
  readonly signal?: AbortSignal
  readonly onProgress?: (event: ProgressEvent) => void
}
const PART = 2_000_000
const sums = (place: string, file: string): unknown =>
  execFileSync('sha256sum', ['--check', '--strict', '--quiet', file], { cwd: place })
const TAKERS: Readonly<Record<string, Taker>> = {
  save: {
    words: place => ['save', 'NanoServer', '--path', place],
    call: async (entry, place, options) => await saveImage(entry, place, options),
    judge: place => sums(place, `${FILE}.sha256`),
    beside: true,
  },
  'save --volume-size': {
    words: place => ['save', 'NanoServer', '--path', place, '--volume-size', String(PART)],
    call: async (entry, place, options) => await saveImageParts(entry, place, PART, options),
    judge: place => sums(place, `${FILE.replace('.wim', '.swm')}.sha256`),
    beside: false,
  },
  'install --to oci:': {
    words: place => ['install', 'NanoServer', '--to', `oci:${join(place, 'store')}`],
    call: async (entry, place, options) => {
      failedNone((await installImages([entry], { ...options, to: `oci:${join(place, 'store')}` })).images)
    },
    judge: place => execFileSync('skopeo', ['inspect', '--raw', `oci:${join(place, 'store')}`]),
    beside: true,
  },
}

/** Bytes that the server gives before nothing more comes. */
const CUT = 2_000_000

for (const [name, { words, call, judge, beside }] of Object.entries(TAKERS)) {
  t.test(`${name} fetches a WIM once, however often it is interrupted`, async t => {
    const [place, temporary, config] = [scratch(t), scratch(t), scratch(t)]
    const { TMPDIR = '' } = process.env
    process.env['TMPDIR'] = temporary
    t.teardown(() => (process.env['TMPDIR'] = TMPDIR))
    let [cut, child, onCut] = [CUT, undefined as ChildProcess | undefined, (): void => undefined]
    const asked: number[] = []
    const host = await serveWeb(t, (request, response) => {
      if (request.url === '/index.json') return void response.end(index)
      const first = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
      const range = { 'content-range': `bytes ${first}-${wim.length - 1}/${wim.length}` }
      response.writeHead(first > 0 ? 206 : 200, { 'content-length': wim.length - first, ...(first > 0 ? range : {}) })
      if (request.method === 'HEAD') return void response.end()
      asked.push(first)
      if (first + cut >= wim.length) return void response.end(wim.subarray(first))
      response.write(wim.subarray(first, first + cut), () => void setTimeout(onCut, 300))
    })
    const about = { Name: 'NanoServer', Version: '10.0.14300.1010', Sha256: sha256, Size: wim.length }
    const index = JSON.stringify([{ ...about, SasToken: '/nano.wim' }])
    const env = { STOWAGE_CONFIG: config, TMPDIR: temporary }
    t.equal((await stowage(['source', 'add', 'lab', `${host}/index.json`, '--trusted'], { env })).code, 0)
    const entry: CatalogEntry = {
      ...{ name: 'NanoServer', version: [10, 0, 14300, 1010], source: 'lab', summary: '', architecture: undefined },
      content: { type: 'web', url: `${host}/nano.wim`, sha256, size: wim.length },
    }
    const partial = join(beside ? place : temporary, `${FILE}.partial`)
    const interrupted = async (at: (event: ProgressEvent) => boolean): Promise<void> => {
      const controller = new AbortController()
      const onProgress = (event: ProgressEvent): void => void (at(event) && controller.abort())
      await t.rejects(call(entry, place, { signal: controller.signal, onProgress }), {
        code: 'ABORTED',
        hint: /What was copied so far stays in \S+\.wim\.partial \([\d.]+MB\), which .* Run the same command again to resume\.$/,
      })
    }

    await interrupted(event => event.type === 'bytes' && event.done >= CUT)
    t.same(asked.splice(0), [0])
    t.equal(statSync(partial).size, CUT, 'what came is kept')
    onCut = () => child?.kill('SIGKILL')
    t.not((await stowage(words(place), { env, onSpawn: one => (child = one) })).code, 0)
    t.same(asked.splice(0), [CUT], 'killed: the second went on from there')
    t.equal(statSync(partial).size, 2 * CUT)
    cut = Infinity
    let whole = false
    await interrupted(event => {
      if (whole) return true
      whole = event.type === 'bytes' && event.done === wim.length
      return whole && name === 'save'
    })
    t.same(asked.splice(0), [2 * CUT])
    t.equal(statSync(partial).size, wim.length, 'interrupted once it is whole')

    await call(entry, place, {})
    t.same(asked, [], 'nothing is fetched again')
    judge(place)
    t.same(readdirSync(temporary), [])
    t.same(
      readdirSync(place).filter(file => /\.(?:partial|lock)$|^\.stowage/.test(file)),
      [],
    )
  })
}
