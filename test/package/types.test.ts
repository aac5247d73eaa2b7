/** The types of the package, as a program that installed it sees them. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import { npmPackage } from '../support/npm-package.js'
import { type Scratch, scratch } from '../support/scratch.js'

const ROOT = join(import.meta.dirname, '../..')

/** A project with the packed package installed, and with nothing else than what its package.json names. */
function consumer(t: Scratch): { readonly project: string; readonly installed: string } {
  const project = scratch(t)
  const modules = join(project, 'node_modules')
  mkdirSync(modules)
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project, ROOT], {
    encoding: 'utf8',
  })
  execFileSync('tar', ['-xzf', join(project, packed.trim()), '-C', modules])
  const installed = join(modules, 'stowage')
  execFileSync('mv', [join(modules, 'package'), installed])
  const { dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  }
  return { project, installed }
}

/** A program that uses much of the library, none of it with a type of its own. */
const PROGRAM = `
import {
  BlobDirectory,
  checkLayer,
  copy,
  createWim,
  dateToFiletime,
  filetimeToDate,
  findImages,
  inspect,
  layerDifference,
  listImages,
  listTags,
  loadBundle,
  type LoadResult,
  login,
  openBundleReader,
  openLayer,
  openLayoutDestination,
  openWim,
  pack,
  packImagesFile,
  parseReference,
  planPack,
  type ProgressEvent,
  readImage,
  serveBundle,
  StowageError,
  verifyBundle,
  writeLayerFromWim,
  writeWimFromLayers,
} from 'stowage'

const controller = new AbortController()
const onProgress = (event: ProgressEvent): number => (event.type === 'bytes' ? event.done : 0)

export async function carry(): Promise<LoadResult> {
  const { signal } = controller
  const plan = await planPack(['oci:images'], 'bundle', { signal })
  const packed = await pack(['oci:images'], 'bundle', { signal, onProgress, platforms: ['linux/amd64'] })
  await packImagesFile('images.yaml', 'bundle')
  const { findings } = await verifyBundle('bundle', { onProgress })
  const sizes: number = packed.manifest.images.reduce((sum, image) => sum + image.size, plan.send)
  if (findings.length > 0 || sizes < 0) throw new StowageError('BUNDLE_INVALID', findings.map(each => each.path).join())
  await copy('oci:images', 'oci:others')
  return await loadBundle('bundle', { to: 'oci:store', signal })
}

export async function wims(): Promise<Uint8Array[]> {
  await using made = await createWim({ compression: 'lzx' })
  await made.addImage('tree', { exclude: path => path.endsWith('.tmp') })
  await made.write('tree.wim', { onProgress: event => void event.type })
  await using wim = await openWim('tree.wim')
  const pieces: Uint8Array[] = []
  for await (const entry of wim.entries()) {
    const when: Date = filetimeToDate(entry.writeTime)
    if (dateToFiletime(when) > entry.writeTime || (entry.security?.length ?? 0) > entry.attributes) break
    for await (const piece of wim.readFile(1, entry.path)) pieces.push(piece)
  }
  const { size }: { size: number } = await wim.verify()
  const { digest } = await writeLayerFromWim(wim, 'layer.tar.gz', { order: 'tree' })
  await writeWimFromLayers(['layer.tar.gz'], 'back.wim', { created: dateToFiletime(new Date(size)) })
  await layerDifference(wim, { path: 'x', offset: 0 }, { base: { type: 'wim', wim: made } })
  const check = await checkLayer(await openLayer('layer.tar.gz'))
  return check.digest === digest ? pieces : []
}

export async function rest(): Promise<string> {
  await using server = await serveBundle(['bundle'], { onRequest: ({ sent, time }) => void (sent + time.getTime()) })
  await using reader = await openBundleReader('bundle')
  await using layout = await openLayoutDestination('layout')
  const [first] = await reader.images()
  if (first) await layout.write(await readImage(reader, first.root), new BlobDirectory('blobs'), first.names)
  await login('registry.example', { username: 'jo', password: 'secret' })
  const { tags } = await listTags('registry.example/shop')
  const [entry] = await findImages()
  const { images } = await listImages({ store: 'oci:store' })
  const [inspection] = (await inspect('oci:store')).images
  return [server.address.url, parseReference('shop').path, ...tags, entry?.name, images[0]?.error?.hint, inspection?.wim?.size].join()
}
`

/** With the types that TypeScript finds by itself, and with none but those that the package asks for. */
const SETTINGS = [
  { types: undefined, module: 'esnext', moduleResolution: 'bundler', lib: ['es2023', 'dom'] },
  { types: [], module: 'nodenext', moduleResolution: 'nodenext', lib: ['es2022'] },
]

const { project, installed } = consumer(t)
writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module' }))
writeFileSync(join(project, 'program.ts'), PROGRAM)

// Each run takes ten seconds of a processor; the oldest and ours find the types in the two ways
for (const [version, compiler, settingsOf] of [
  ['5.4', npmPackage('typescript@5.4'), SETTINGS.slice(1)],
  ['the newest 5', npmPackage('typescript@5'), SETTINGS.slice(0, 1)],
  ['ours', join(ROOT, 'node_modules/typescript'), SETTINGS],
] as const) {
  t.test(`the types check without skipLibCheck, with TypeScript ${version}`, async t => {
    for (const { types, ...settings } of settingsOf) {
      const compilerOptions = {
        ...settings,
        ...(types ? { types } : {}),
        target: 'es2022',
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        skipLibCheck: false,
        noEmit: true,
      }
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
      const { stdout } = spawnSync(process.execPath, [join(compiler, 'bin/tsc'), '-p', project], { encoding: 'utf8' })
      t.equal(stdout, '', JSON.stringify({ types, ...settings }))
    }
  })
}

t.test('the types of Node.js in the repository are those of the oldest one that it runs on', async t => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules/@types/node/package.json'), 'utf8')) as {
    version: string
  }
  t.match(version, /^20\./)
})

/** The declarations that the one at `path` leads to, itself included. */
function reachable(path: string, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(path)) return found
  found.add(path)
  for (const [, name = ''] of readFileSync(path, 'utf8').matchAll(/(?:from|import) '(\.[^']+)\.js'/g))
    reachable(join(dirname(path), `${name}.d.ts`), found)
  return found
}

t.test('a size in bytes is called size, except where wimlib.h calls it otherwise', async t => {
  const declarations = [...reachable(join(installed, 'dist/index.d.ts'))]
  t.ok(declarations.length > 50 && declarations.every(path => existsSync(path)))
  const otherwise = declarations.flatMap(path =>
    [...readFileSync(path, 'utf8').matchAll(/^\s+readonly (\w*bytes)\??: number/gim)].map(
      ([, name]) => `${relative(installed, path)}: ${name}`,
    ),
  )
  t.same(
    [...new Set(otherwise)].sort(),
    ['completedBytes', 'completedCompressedBytes', 'totalBytes'].map(name => `dist/wim/progress.d.ts: ${name}`),
  )
})
