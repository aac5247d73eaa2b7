/**
 * Commands that are killed at a random moment, and run again: what is there in between, what the second run fetches, and
 * what it leaves. `test/faults/kills.test.ts` does it a few times, `npm run test:kills` for long.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import type { Test } from 'tap'
import { verifyBundle } from '../../src/bundle/verify.js'
import { isDigest } from '../../src/oci/digest.js'
import { fileInput, listArchive } from '../../src/tar/archive.js'
import { prune } from '../../src/verbs/prune.js'
import { dockerArchive, makeArchive } from './archives.js'
import { filledWim } from './base-images.js'
import { readTree } from './bundles.js'
import { commandFile, stowage } from './command.js'
import { layeredImage, makeImage, makeLayer, noise, writeLayout } from './images.js'
import { type FaultyProxy, pushWithSkopeo, startFaultyProxy, startRegistry } from './registry.js'
import { scratch } from './scratch.js'

/** One command, in a directory of its own. */
interface Form {
  readonly name: string
  readonly words: readonly string[]
  /** What must not be there, or must be whole, whenever the command is killed. */
  readonly kind: 'bundle' | 'tar' | 'volumes' | 'layout' | 'file' | 'wim'
  readonly output: string
}

/** Layers of about this many bytes, of which an image has four. */
const LAYER = 1_500_000

/** A generator of numbers from 0 to 1 that a seed repeats. Source: Mulberry32, by Tommy Ettinger, public domain. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Kills forms in turn, `count` times in all, and says what is wrong of each; `most` of them, in an order by the seed. */
export async function killMany(t: Test, count: number, seed: number, most = Infinity): Promise<void> {
  t.comment(`seed ${seed}`)
  const desk = await Desk.open(t)
  const next = random(seed)
  const ordered = desk.forms.map(form => ({ form, key: next() })).sort((a, b) => a.key - b.key)
  const forms = ordered.slice(0, most).map(({ form }) => form)
  const references = new Map<string, Undisturbed>()
  for (let n = 0; n < count; n++) {
    const form = forms[n % forms.length]!
    const reference = references.get(form.name) ?? (await desk.undisturbed(form))
    references.set(form.name, reference)
    const wrong = await desk.killed(form, reference, next())
    t.same(wrong, [], `kill ${n} of ${form.name}, seed ${seed}`)
  }
  t.comment(`${desk.ended} of ${count} runs had ended before they were killed`)
}

/** What a run leaves that nothing happened to. */
interface Undisturbed {
  readonly files: ReadonlyMap<string, string>
  /** In milliseconds. */
  readonly duration: number
}

interface Member {
  readonly path: string
  readonly offset: number
  readonly size: number
}

class Desk {
  readonly forms: readonly Form[]
  /** Runs that were not killed, because they had ended. */
  ended = 0
  readonly #t: Test
  readonly #proxy: FaultyProxy
  readonly #env: Readonly<Record<string, string>>
  /** Where blobs are in a tar of the image. */
  readonly #members: readonly Member[]

  static async open(t: Test): Promise<Desk> {
    const root = scratch(t)
    const registry = await startRegistry(t)
    const image = await layeredImage(4, { size: LAYER })
    await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
    const proxy = await startFaultyProxy(t, registry, () => undefined)
    await writeLayout(join(root, 'layout'), { 'docker.io/team/shop:2.3': image })
    const plain = await Promise.all(
      [0, 1, 2, 3].map(async n => await makeLayer({ [`plain-${n}`]: noise(LAYER, `plain-${n}`) }, 'none')),
    )
    const exported = await dockerArchive([{ image: makeImage(plain), tags: ['team/shop:2.3'] }])
    await writeFile(join(root, 'export.tar.gz'), gzipSync(exported, { level: 1 }))
    const entries = Object.fromEntries([...(await readTree(join(root, 'layout')))].toReversed())
    await writeFile(join(root, 'layout.tar.gz'), gzipSync(await makeArchive(entries), { level: 1 }))
    for (const output of ['bundle', 'bundle.tar.gz']) {
      const { code, stderr } = await stowage(['pack', `oci:${join(root, 'layout')}`, '-o', join(root, output)])
      if (code !== 0) throw new Error(stderr)
    }
    const config = join(root, 'config')
    mkdirSync(join(root, 'wims'))
    await writeFile(join(root, 'wims', 'nano.wim'), readFileSync(filledWim(t, { data: noise(3 * LAYER, 'wim') })))
    const env = { STOWAGE_CONFIG: config, HTTP_PROXY: '', NO_PROXY: '' }
    const added = await stowage(['source', 'add', 'wims', join(root, 'wims')], { env })
    if (added.code !== 0) throw new Error(added.stderr)
    const tar = join(root, 'bundle.tar')
    const packed = await stowage(['pack', `oci:${join(root, 'layout')}`, '-t', 'shop:2.3', '-o', tar], { env })
    if (packed.code !== 0) throw new Error(packed.stderr)
    const file = await open(tar)
    const members = await listArchive(await fileInput(file), tar)
    await file.close()
    const blobs = members.filter(({ name, type }) => type === 'file' && name.startsWith('blobs/'))
    const places = blobs.map(({ name: path, offset, size }) => ({ path, offset, size }))
    return new Desk(t, root, proxy, env, places)
  }

  private constructor(
    t: Test,
    root: string,
    proxy: FaultyProxy,
    env: Readonly<Record<string, string>>,
    members: readonly Member[],
  ) {
    this.#t = t
    this.#proxy = proxy
    this.#env = env
    this.#members = members
    const at = (name: string): string => join(root, name)
    const sources = {
      registry: `docker://${proxy.domain}/team/shop:2.3`,
      layout: `oci:${at('layout')}`,
      export: `docker-archive:${at('export.tar.gz')}`,
      archive: `oci-archive:${at('layout.tar.gz')}`,
    }
    const outputs = [
      ['bundle', 'site', []],
      ['tar', 'site.tar', []],
      ['volumes', 'site.tar', ['--volume-size', '1MiB']],
      ['file', 'site.tar.gz', []],
    ] as const
    const packs = outputs.flatMap(([kind, output, words]): Form[] =>
      Object.entries(sources).map(([from, source]) => ({
        name: `pack ${from} -o ${output} ${words.join(' ')}`,
        words: ['pack', source, '-t', 'shop:2.3', '-o', output, ...words],
        kind,
        output,
      })),
    )
    const copies = (['registry', 'layout', 'export'] as const).flatMap((from): Form[] => [
      {
        name: `copy ${from} oci:`,
        words: ['copy', sources[from], 'oci:store'],
        kind: 'layout',
        output: 'store',
      },
      {
        name: `copy ${from} docker-archive:`,
        words: ['copy', sources[from], 'docker-archive:x.tar'],
        kind: 'file',
        output: 'x.tar',
      },
      {
        name: `copy ${from} oci-archive:`,
        words: ['copy', sources[from], 'oci-archive:x.tar'],
        kind: 'file',
        output: 'x.tar',
      },
    ])
    const loads = ['bundle', 'bundle.tar.gz'].map((bundle): Form => ({
      name: `load ${bundle} --to oci:`,
      words: ['load', at(bundle), '--to', 'oci:store'],
      kind: 'layout',
      output: 'store',
    }))
    const save: Form = {
      name: 'save',
      words: ['save', 'NanoServer', '--path', '.'],
      kind: 'wim',
      output: '.',
    }
    this.forms = [...packs, ...copies, ...loads, save]
  }

  async undisturbed(form: Form): Promise<Undisturbed> {
    const place = this.#place()
    const start = Date.now()
    const { code, stderr } = await stowage(form.words, place)
    if (code !== 0) throw new Error(`${form.name}: ${stderr}`)
    return { files: listing(place.cwd), duration: Date.now() - start }
  }

  /** Kills the command at `moment` of its time, and runs it again. Returns what is wrong. */
  async killed(form: Form, { files, duration }: Undisturbed, moment: number): Promise<readonly string[]> {
    const place = this.#place()
    const wrong: string[] = []
    if (!(await kill(form.words, place, moment * duration))) this.ended += 1
    wrong.push(...(await this.#falselyWhole(form, place.cwd, files)))
    const whole = await this.#wholeBlobs(form, place.cwd)
    const before = this.#proxy.requests.length
    const { code, stderr } = await stowage(form.words, place)
    // What never overwrites says so of what was complete
    const complete = code === 1 && /exists already/.test(stderr)
    if (code !== 0 && !complete) wrong.push(`the same command ends with ${code}: ${stderr}`)
    wrong.push(...differences(files, listing(place.cwd)))
    for (const { line } of this.#proxy.requests.slice(before)) {
      const digest = /^GET .*\/blobs\/(sha256:[0-9a-f]+)$/.exec(line)?.[1]
      if (digest !== undefined && whole.has(digest)) wrong.push(`${digest} was whole, and is fetched again`)
    }
    const left = readdirSync(place.env['TMPDIR'] ?? '')
    if (left.length > 0) wrong.push(`left in TMPDIR: ${left.join(' ')}`)
    const stores = [place.cwd, place.env['TMPDIR'] ?? '', ...(form.kind === 'layout' ? [join(place.cwd, 'store')] : [])]
    const { workspaces, files: unfinished } = await prune(stores, { dryRun: true })
    for (const { path } of [...workspaces, ...unfinished]) wrong.push(`prune finds ${path}`)
    rmSync(join(place.cwd, '..'), { recursive: true, force: true })
    return wrong
  }

  /** What looks whole and is not. */
  async #falselyWhole(form: Form, cwd: string, files: ReadonlyMap<string, string>): Promise<readonly string[]> {
    const output = join(cwd, form.output)
    if (form.kind === 'bundle') {
      if (!existsSync(output)) return []
      const { ok } = await verifyBundle(output).catch(() => ({ ok: false }))
      return ok ? differences(files, listing(cwd)) : []
    }
    if (form.kind === 'volumes') {
      if (!existsSync(join(cwd, 'site.volumes.sha256')) && !existsSync(`${output}.001`)) return []
      const { ok } = await verifyBundle(`${output}.001`).catch(() => ({ ok: false }))
      if (ok) return []
      return existsSync(join(cwd, 'site.volumes.sha256')) ? ['a list of volumes that are not whole'] : []
    }
    if (form.kind === 'layout') return namedButMissing(output)
    if (form.kind === 'wim') {
      const there = listing(cwd)
      const wim = [...there.keys()].filter(name => name.endsWith('.wim'))
      return wim.flatMap(name => [
        ...(there.get(name) === files.get(name) ? [] : [`${name} is not whole`]),
        ...(there.has(`${name}.sha256`) ? [] : [`${name} has no .sha256`]),
      ])
    }
    if (!existsSync(output)) return []
    return hashOf(output) === files.get(form.output) ? [] : [`${form.output} is there, and not whole`]
  }

  /** Layers that are whole on the disk: manifests and configs are read to know what is wanted. */
  async #wholeBlobs({ kind, output }: Form, cwd: string): Promise<ReadonlySet<string>> {
    if (kind === 'bundle' || kind === 'layout') {
      const directory = join(cwd, output, 'blobs', 'sha256')
      const names = existsSync(directory) ? readdirSync(directory) : []
      const digests = names.map(name => `sha256:${name}`).filter(isDigest)
      const whole = digests.filter(digest => {
        const path = join(directory, digest.slice('sha256:'.length))
        return statSync(path).size >= LAYER && `sha256:${hashOf(path)}` === digest
      })
      return new Set(whole)
    }
    if (kind !== 'tar' || !existsSync(`${join(cwd, output)}.partial`)) return new Set()
    // In its place in the whole tar, and with its header
    const partial = readFileSync(`${join(cwd, output)}.partial`)
    const there = this.#members.filter(({ path, offset, size }) => {
      if (size < LAYER) return false
      const bytes = partial.subarray(offset, offset + size)
      const header = partial.toString('latin1', offset - 512, offset)
      return header.startsWith(path) && createHash('sha256').update(bytes).digest('hex') === path.slice(-64)
    })
    return new Set(there.map(({ path }) => `sha256:${path.slice(-64)}`))
  }

  #place(): { readonly cwd: string; readonly env: Readonly<Record<string, string>> } {
    const root = scratch(this.#t)
    const [cwd, tmp] = [join(root, 'work'), join(root, 'tmp')]
    mkdirSync(cwd)
    mkdirSync(tmp)
    return { cwd, env: { ...this.#env, TMPDIR: tmp, STOWAGE_STORE: join(root, 'default') } }
  }
}

/** Runs `stowage`, and kills it after `delay` milliseconds. `input`: a file that is its stdin. Returns whether it ran until then. */
export async function kill(
  words: readonly string[],
  {
    cwd,
    env,
    input,
  }: { readonly cwd: string; readonly env: Readonly<Record<string, string>>; readonly input?: string },
  delay: number,
): Promise<boolean> {
  const file = input === undefined ? undefined : await open(input)
  const child = spawn(process.execPath, [commandFile(), ...words], {
    cwd,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: [file?.fd ?? 'ignore', 'ignore', 'ignore'],
  })
  await file?.close()
  const ended = new Promise<string | null>(resolve => child.once('close', (_code, signal) => resolve(signal)))
  await Promise.race([sleep(delay), ended])
  child.kill('SIGKILL')
  return (await ended) === 'SIGKILL'
}

/** Every file below `directory` with its SHA-256, every link with its target, every directory. */
function listing(directory: string): ReadonlyMap<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true })
  const found = entries.map((entry): [string, string] => {
    const path = join(entry.parentPath, entry.name)
    const what = entry.isFile() ? hashOf(path) : entry.isSymbolicLink() ? readlinkSync(path) : 'directory'
    return [relative(directory, path), what]
  })
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function hashOf(path: string): string {
  if (!lstatSync(path).isFile()) return 'no file'
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

function differences(expected: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): readonly string[] {
  return [...new Set([...expected.keys(), ...found.keys()])].flatMap(name => {
    const [wanted, there] = [expected.get(name), found.get(name)]
    if (wanted === there) return []
    return [wanted === undefined ? `${name} is left` : there === undefined ? `${name} is missing` : `${name} differs`]
  })
}

/** Blobs that a layout's index reaches, and that are not there or not whole. */
function namedButMissing(layout: string): readonly string[] {
  const index = join(layout, 'index.json')
  if (!existsSync(index)) return []
  const wrong: string[] = []
  const visit = (digest: string): void => {
    const path = join(layout, 'blobs', 'sha256', digest.slice('sha256:'.length))
    if (!existsSync(path)) wrong.push(`${digest} has a name, and is not there`)
    else if (`sha256:${hashOf(path)}` !== digest) wrong.push(`${digest} has a name, and is not whole`)
    else if (statSync(path).size < 10_000) follow(readFileSync(path, 'utf8'))
  }
  const follow = (text: string): void => {
    const { manifests = [], config, layers = [] } = json(text)
    for (const each of [...manifests, ...(config ? [config] : []), ...layers])
      if (typeof each?.digest === 'string') visit(each.digest)
  }
  follow(readFileSync(index, 'utf8'))
  return wrong
}

interface Listed {
  readonly manifests?: readonly { readonly digest?: string }[]
  readonly config?: { readonly digest?: string }
  readonly layers?: readonly { readonly digest?: string }[]
}

function json(text: string): Listed {
  try {
    return JSON.parse(text) as Listed // every field is looked at before it is used
  } catch {
    return {}
  }
}
