/** What is measured on: made once from this machine's own files, kept in a cache directory outside the checkout. */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, relative } from 'node:path'

const CACHE = process.env.STOWAGE_BENCH_CACHE ?? join(tmpdir(), 'stowage-bench')
const MIB = 1024 * 1024
const SOURCES = ['/usr/share', '/usr/bin', '/usr/lib', '/usr/include', '/usr/sbin']

/** The hives without which a tree is no base layer; they are small enough to count for nothing. */
const HIVES = ['DEFAULT', 'SAM', 'SECURITY', 'SOFTWARE', 'SYSTEM'].map(name => `Windows/System32/config/${name}`)

/** Path of an LZX WIM of about `size` bytes of files, and what is in it. */
export function corpusWim(size) {
  const wim = join(CACHE, `corpus-${size / MIB}.wim`)
  if (!existsSync(wim)) {
    console.error(`bench: making ${wim} once, about ${Math.ceil(size / MIB / 15)} s of capture`)
    const tree = join(CACHE, `corpus-${size / MIB}`)
    rmSync(tree, { recursive: true, force: true })
    mkdirSync(tree, { recursive: true })
    copyFiles(tree, pickFiles(size))
    for (const hive of HIVES) {
      mkdirSync(join(tree, hive, '..'), { recursive: true })
      writeFileSync(join(tree, hive), Buffer.concat([Buffer.from('regf'), Buffer.alloc(4092)]))
    }
    const threads = `--threads=${availableParallelism()}`
    const args = ['capture', tree, `${wim}.partial`, 'corpus', '--compress=LZX', threads]
    execFileSync('wimlib-imagex', args, { stdio: 'ignore' })
    renameSync(`${wim}.partial`, wim)
    rmSync(tree, { recursive: true })
  }
  const xml = execFileSync('wimlib-imagex', ['info', wim, '--xml'], { maxBuffer: 1 << 24 }).toString('utf16le')
  const number = name => Number(new RegExp(`<${name}>(\\d+)<`).exec(xml.slice(xml.indexOf('<IMAGE')))?.[1])
  return { wim, files: number('FILECOUNT'), bytes: number('TOTALBYTES'), cache: CACHE }
}

/** The options of `wimlib-imagex export` that make each form; `split` is cut. */
const FORMS = {
  none: ['--compress=none'],
  xpress: ['--compress=XPRESS'],
  lzms: ['--compress=LZMS'],
  solid: ['--solid'],
  pipable: ['--pipable'],
}

/** The corpus of {@link corpusWim} in other forms: the paths of each, the first part first. */
export function corpusForms(size) {
  const { wim } = corpusWim(size)
  const paths = {}
  for (const [form, options] of Object.entries(FORMS)) {
    const path = join(CACHE, `corpus-${size / MIB}-${form}.wim`)
    paths[form] = [path]
    if (existsSync(path)) continue
    console.error(`bench: making ${path} once, by export ${options.join(' ')}`)
    rmSync(`${path}.partial`, { force: true }) // export would add to it
    execFileSync('wimlib-imagex', ['export', wim, '1', `${path}.partial`, ...options], { stdio: 'ignore' })
    renameSync(`${path}.partial`, path)
  }
  const directory = join(CACHE, `corpus-${size / MIB}-split`)
  if (!existsSync(directory)) {
    rmSync(`${directory}.partial`, { recursive: true, force: true })
    mkdirSync(`${directory}.partial`, { recursive: true })
    const part = String(Math.ceil(statSync(wim).size / MIB / 3))
    execFileSync('wimlib-imagex', ['split', wim, join(`${directory}.partial`, 'corpus.swm'), part], { stdio: 'ignore' })
    renameSync(`${directory}.partial`, directory)
  }
  const number = name => Number(/(\d+)\.swm$/.exec(name)?.[1] ?? 1)
  const parts = readdirSync(directory).sort((a, b) => number(a) - number(b))
  return { ...paths, split: parts.map(name => join(directory, name)) }
}

/** The files of {@link corpusWim} in a directory. */
export function corpusTree(size) {
  const { wim } = corpusWim(size)
  const tree = join(CACHE, `corpus-${size / MIB}-tree`)
  if (existsSync(tree)) return tree
  rmSync(`${tree}.partial`, { recursive: true, force: true })
  execFileSync('wimlib-imagex', ['apply', wim, '1', `${tree}.partial`], { stdio: 'ignore' })
  renameSync(`${tree}.partial`, tree)
  return tree
}

/** Path of an OCI layout with one image of `size` bytes in layers that are read and hashed, never unpacked. */
export function corpusLayout(size) {
  return layoutOf(`layout-${size / MIB}`, () =>
    Array.from({ length: 8 }, (_, n) => ({ blob: layer(n, size / 8), diffId: undefined })),
  )
}

/** The same with gzip layers, of this machine's files, which have `size` bytes. */
export function corpusGzipLayout(size) {
  return layoutOf(`layout-gzip-${size / MIB}`, () => {
    const files = pickFiles(size)
    const share = Math.ceil(files.length / 8)
    return Array.from({ length: 8 }, (_, n) => {
      const input = files.slice(n * share, (n + 1) * share).join('\0')
      const args = ['-C', '/', '--null', '-T', '-', '--format=ustar', '-cf', '-']
      const tar = execFileSync('tar', args, { input, maxBuffer: 2 * size, stdio: ['pipe', 'pipe', 'ignore'] })
      return { blob: execFileSync('gzip', ['-nc'], { input: tar, maxBuffer: 2 * size }), diffId: digestOf(tar) }
    })
  })
}

const digestOf = bytes => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Made once from what `makeLayers` gives: blobs, and the diffIDs of those that are compressed. */
function layoutOf(name, makeLayers) {
  const layout = join(CACHE, name)
  if (existsSync(join(layout, 'index.json'))) return layout
  console.error(`bench: making ${layout} once`)
  rmSync(layout, { recursive: true, force: true })
  const blobs = join(layout, 'blobs', 'sha256')
  mkdirSync(blobs, { recursive: true })
  const put = (mediaType, bytes) => {
    const digest = digestOf(bytes)
    writeFileSync(join(blobs, digest.slice('sha256:'.length)), bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const json = value => Buffer.from(JSON.stringify(value))
  const made = makeLayers()
  const tar = 'application/vnd.oci.image.layer.v1.tar'
  const layers = made.map(({ blob, diffId }) => put(diffId ? `${tar}+gzip` : tar, blob))
  const platform = { architecture: 'amd64', os: 'linux' }
  const rootfs = { type: 'layers', diff_ids: layers.map(({ digest }, n) => made[n].diffId ?? digest) }
  const config = put('application/vnd.oci.image.config.v1+json', json({ ...platform, config: {}, rootfs }))
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = put(mediaType, json({ schemaVersion: 2, mediaType, config, layers }))
  const annotations = {
    'io.containerd.image.name': `stowage.example/${name}:1`,
    'org.opencontainers.image.ref.name': '1',
  }
  writeFileSync(join(layout, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }))
  writeFileSync(
    join(layout, 'index.json'),
    json({ schemaVersion: 2, manifests: [{ ...manifest, platform, annotations }] }),
  )
  return layout
}

/** One layer: a tar with one file of random bytes, by GNU tar. */
function layer(n, size) {
  const path = join(CACHE, `layer-${n}`)
  writeFileSync(path, randomFillSync(Buffer.alloc(size)))
  const tar = execFileSync('tar', ['-C', CACHE, '--format=ustar', '-cf', '-', `layer-${n}`], { maxBuffer: size + MIB })
  rmSync(path)
  return tar
}

/** Regular files until they have `size` bytes, with names and letter cases that Windows can hold as well. */
function pickFiles(size) {
  const found = []
  const cases = new Map()
  let total = 0
  const visit = directory => {
    for (const entry of readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(directory, entry.name)
      if (total >= size) return
      if (/[:\\<>"|?*\ufffd]/.test(entry.name) || (cases.get(path.toLowerCase()) ?? path) !== path) continue
      cases.set(path.toLowerCase(), path)
      if (entry.isDirectory()) visit(path)
      if (!entry.isFile()) continue
      const bytes = statSync(path).size
      if (bytes > 64 * MIB) continue
      total += bytes
      found.push(path)
    }
  }
  SOURCES.filter(existsSync).forEach(visit)
  return found
}

function copyFiles(tree, paths) {
  const list = paths.map(path => relative('/', path)).join('\0')
  const script = 'tar -C / --null -T - -cf - | tar -C "$1" -xf -'
  const args = ['-o', 'pipefail', '-c', script, 'bash', tree]
  const { status, stderr } = spawnSync('bash', args, { input: list, encoding: 'utf8' })
  if (status !== 0) throw new Error(`copying the corpus failed: ${stderr}`)
}
