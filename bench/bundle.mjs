/**
 * `npm run bench -- bundle`: verifies, packs, splits, joins and merges bundles beside sha256sum, OpenSSL, gzip, skopeo
 * and cp, on layers that are plain tars of random bytes and on gzip layers of this machine's files.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { corpusGzipLayout, corpusLayout } from './corpus.mjs'
import { measure } from './measure.mjs'
import { megabytes, ratioOf } from './report.mjs'

const MAIN = resolve(import.meta.dirname, '..', 'dist', 'cli', 'main.js')
/** How much more memory the larger work may take. */
const FLAT = 1.25

const stowage = async args => await measure(process.execPath, [MAIN, ...args, '--quiet'], { quiet: true })
const script = async (text, ...words) => await measure('sh', ['-ec', text, 'sh', ...words], { quiet: true })
const warm = path => execFileSync('sh', ['-c', 'find "$1" -type f -exec cat {} + >/dev/null', 'sh', path])
const peakOf = pairs => Math.max(...pairs.map(({ ours }) => ours.rss))

export async function benchBundle({ size, report }) {
  const work = mkdtempSync(join(tmpdir(), 'stowage-bench-bundle-'))
  try {
    const plain = corpusLayout(size)
    await benchHashes({ layout: plain, size, work: newDirectory(work, 'hashes'), report })
    await benchVolumes({ layout: plain, size, work: newDirectory(work, 'volumes'), report })
    const gzip = corpusGzipLayout(size)
    await benchLayers({ layout: gzip, work: newDirectory(work, 'layers'), report })
    await benchMerge({ layout: plain, size, work: newDirectory(work, 'merge'), report })
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function newDirectory(work, name) {
  const path = join(work, name)
  mkdirSync(path)
  return path
}

async function benchHashes({ layout, size, work, report }) {
  const bundle = join(work, 'bundle')
  await stowage(['pack', `oci:${layout}`, '-o', bundle])
  warm(bundle)
  const what = `verify --no-deep, ${megabytes(size)}`
  const verify = () => stowage(['verify', '--no-deep', bundle])
  const sums = await report.alternate(what, verify, () => script('cd "$1" && sha256sum -c --quiet SHA256SUMS', bundle))
  report.row(what, 'sha256sum -c', sums, '')
  report.promise(
    ratioOf(sums) >= 3,
    `verify --no-deep at least 3 times as fast as sha256sum -c: ${ratioOf(sums).toFixed(1)}`,
  )
  // So large that the start of Node.js does not count
  const large = join(work, 'large')
  await stowage(['pack', `oci:${corpusLayout(4 * size)}`, '-o', large, '--no-deep'])
  warm(large)
  const openssl = await report.alternate(
    `verify --no-deep, ${megabytes(4 * size)} (OpenSSL)`,
    () => stowage(['verify', '--no-deep', large]),
    () =>
      script('ls "$1"/blobs/sha256/* | xargs -n 1 -P "$2" openssl dgst -sha256', large, String(availableParallelism())),
  )
  report.row(`verify --no-deep, ${megabytes(4 * size)}`, 'openssl dgst on all processors', openssl, '')
  report.promise(
    ratioOf(openssl) >= 0.85,
    `verify --no-deep at least 0.85 times as fast as OpenSSL on the same processors: ${ratioOf(openssl).toFixed(2)}`,
  )
  // A bundle of an eighth
  const small = join(work, 'small')
  await stowage(['pack', `oci:${corpusLayout(size / 8)}`, '-o', small])
  const { rss } = await stowage(['verify', '--no-deep', small])
  const most = peakOf([...sums, ...openssl])
  report.promise(
    most <= FLAT * rss,
    `verify takes no more memory for ${megabytes(size)} than for ${megabytes(size / 8)}: ${megabytes(most)} and ${megabytes(rss)}`,
  )
  rmSync(work, { recursive: true })
}

async function benchVolumes({ layout, size, work, report }) {
  const tar = join(work, 'whole.tar')
  await stowage(['pack', `oci:${layout}`, '-o', tar, '--no-deep'])
  const few = join(work, 'few')
  const many = join(work, 'many')
  mkdirSync(few)
  mkdirSync(many)
  const split = (to, parts) =>
    stowage(['split', tar, '-o', join(to, 'x.tar'), '--volume-size', String(Math.ceil(size / parts))])
  await split(many, 64)
  await split(few, 6)
  const first = join(few, 'x.tar.001')
  warm(work)
  const pairs = await report.alternate(
    'verify volumes and the whole tar',
    () => stowage(['verify', '--no-deep', first]),
    () => stowage(['verify', '--no-deep', tar]),
  )
  report.row(`verify --no-deep 7 volumes of ${megabytes(size)}`, 'of one tar', pairs, '')
  report.promise(
    ratioOf(pairs) >= 0.95,
    `verify volumes at least 0.95 times as fast as one tar: ${ratioOf(pairs).toFixed(2)}`,
  )
  const { rss } = await stowage(['verify', '--no-deep', join(many, 'x.tar.001')])
  report.promise(
    rss <= FLAT * peakOf(pairs),
    `verify takes no more memory for 65 volumes than for 7: ${megabytes(rss)} and ${megabytes(peakOf(pairs))}`,
  )
  rmSync(many, { recursive: true })
  const copy = join(work, 'copy')
  const cut = await report.alternate(
    'split',
    async () => {
      rmSync(few, { recursive: true, force: true })
      mkdirSync(few)
      return await split(few, 6)
    },
    async () => {
      rmSync(copy, { recursive: true, force: true })
      mkdirSync(copy)
      const parts = 'split -b "$2" "$1" "$3/x" && openssl dgst -sha256 -r "$3"/x* > "$3/sums" && sync "$3"/*'
      return await script(parts, tar, String(Math.ceil(size / 6)), copy)
    },
  )
  report.row(`split ${megabytes(size)}`, 'split -b, openssl dgst, sync', cut, '')
  report.promise(
    ratioOf(cut) >= 0.8,
    `split at least 0.8 times as fast as split -b and openssl dgst: ${ratioOf(cut).toFixed(2)}`,
  )
  const joined = join(work, 'joined.tar')
  const together = await report.alternate(
    'join',
    async () => {
      rmSync(joined, { force: true })
      return await stowage(['join', first, '-o', joined])
    },
    () => script('cat "$1"/x* > "$2" && sync "$2"', copy, join(work, 'cat.tar')),
  )
  report.row(`join ${megabytes(size)}`, 'cat, sync', together, '')
  report.promise(ratioOf(together) >= 0.8, `join at least 0.8 times as fast as cat: ${ratioOf(together).toFixed(2)}`)
  rmSync(work, { recursive: true })
}

/** The digests of the tars in the layers below the working directory. */
const GUNZIP =
  'for blob in blobs/sha256/*; do ' +
  'case $(head -c 2 "$blob" | od -An -tx1) in *1f?8b*) gzip -dc "$blob" | sha256sum;; esac; done'

async function benchLayers({ layout, work, report }) {
  const bundle = join(work, 'bundle')
  await stowage(['pack', `oci:${layout}`, '-o', bundle])
  warm(bundle)
  const size = megabytes(
    readdirSync(join(bundle, 'blobs/sha256')).reduce(
      (sum, name) => sum + statSync(join(bundle, 'blobs/sha256', name)).size,
      0,
    ),
  )
  const deep = await report.alternate(
    'verify gzip layers',
    () => stowage(['verify', bundle]),
    () => script(`cd "$1" && { sha256sum -c --quiet SHA256SUMS & } && ${GUNZIP} && wait`, bundle),
  )
  report.row(`verify ${size} of gzip layers`, 'gzip -dc | sha256sum, sha256sum -c', deep, '')
  report.promise(
    ratioOf(deep) >= 2,
    `verify at least 2 times as fast as gzip and sha256sum: ${ratioOf(deep).toFixed(1)}`,
  )
  const tar = join(work, 'ours.tar')
  const archive = join(work, 'theirs.tar')
  const pack = words => async () => {
    rmSync(tar, { force: true })
    return await stowage(['pack', `oci:${layout}`, '-o', tar, ...words])
  }
  const copy = 'skopeo copy --quiet --insecure-policy "oci:$1" "oci-archive:$2:x"'
  const skopeo = async () => {
    rmSync(archive, { force: true })
    return await script(copy, layout, archive)
  }
  // What the default does besides: it compares the tar in each layer with the config
  const both = async () => {
    rmSync(archive, { force: true })
    return await script(`{ ${copy} & } && cd "$1" && ${GUNZIP} && wait`, layout, archive)
  }
  for (const { words, name, peer, promised } of [
    { words: [], name: 'skopeo copy oci: oci-archive:', peer: skopeo },
    { words: [], name: 'skopeo copy, gzip -dc | sha256sum', peer: both, promised: 1.3 },
    { words: ['--no-deep'], name: 'skopeo copy oci: oci-archive:', peer: skopeo, promised: 1.3 },
  ]) {
    const what = ['pack', ...words].join(' ')
    const pairs = await report.alternate(`${what} of a layout`, pack(words), peer)
    report.row(`${what}, ${size} of gzip layers`, name, pairs, '')
    const ratio = ratioOf(pairs)
    if (promised)
      report.promise(ratio >= promised, `${what} at least ${promised} times as fast as ${name}: ${ratio.toFixed(2)}`)
  }
  rmSync(work, { recursive: true })
}

/** A delta of one image beside another, merged with its base. */
async function benchMerge({ layout, size, work, report }) {
  const small = corpusLayout(size / 8)
  const base = join(work, 'base')
  const list = join(work, 'base.json')
  const delta = join(work, 'delta')
  await stowage(['pack', `oci:${layout}`, '-o', base, '--no-deep'])
  await measure(process.execPath, [MAIN, 'inventory', `bundle:${base}`, '-o', list, '--quiet'], { quiet: true })
  await stowage(['pack', `oci:${layout}`, `oci:${small}`, '--have', list, '-o', delta, '--no-deep'])
  const whole = join(work, 'whole')
  const copy = join(work, 'copy')
  const pairs = await report.alternate(
    'merge',
    async () => {
      rmSync(whole, { recursive: true, force: true })
      return await stowage(['merge', base, delta, '-o', whole])
    },
    async () => {
      rmSync(copy, { recursive: true, force: true })
      const whole =
        'cp -r "$1" "$3" && cp -r "$2/." "$3" && ls "$3"/blobs/sha256/* | xargs -n 1 -P "$4" openssl dgst -sha256 && ' +
        'sync "$3"/blobs/sha256/*'
      return await script(whole, base, delta, copy, String(availableParallelism()))
    },
  )
  report.row(`merge ${megabytes(size)} and ${megabytes(size / 8)}`, 'cp -r, openssl dgst, sync', pairs, '')
  report.promise(
    ratioOf(pairs) >= 0.75,
    `merge at least 0.75 times as fast as cp and openssl dgst: ${ratioOf(pairs).toFixed(2)}`,
  )
  rmSync(work, { recursive: true })
}
