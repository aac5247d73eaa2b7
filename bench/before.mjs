/** Each path of the bench beside the same path of an earlier checkout, in turns: what a change cost or gained. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { corpusForms, corpusLayout, corpusTree, corpusWim } from './corpus.mjs'
import { measure } from './measure.mjs'
import { makeImages, startRegistry } from './registry.mjs'
import { ratioOf } from './report.mjs'
import { corpusLayer } from './to-wim.mjs'

const main = checkout => resolve(checkout, 'dist', 'cli', 'main.js')
const NOW = main(resolve(import.meta.dirname, '..'))

/** Two runs of the same program differ by this much on a machine that does nothing else. */
const EVEN = 0.97

export async function benchBefore({ size, rounds, report, before, named }) {
  if (!existsSync(main(before))) throw new Error(`bench: ${before} has no dist/cli/main.js: build it there first`)
  const work = mkdtempSync(join(tmpdir(), 'stowage-bench-before-'))
  const registry = await startRegistry(join(work, 'registry'))
  try {
    for (const [what, args, prepare] of cases({ size, work, registry })) {
      if (named.length > 0 && !named.some(word => what.includes(word))) continue
      const run = async program => {
        rmSync(join(work, 'output'), { recursive: true, force: true })
        prepare?.()
        return await measure(process.execPath, [program, ...args], { quiet: true })
      }
      await run(NOW) // reads what both read
      const pairs = await report.alternate(
        what,
        async () => await run(NOW),
        async () => await run(main(before)),
        args.includes('--compress=LZX') && what.startsWith('wim capture') ? 1 : rounds,
      )
      report.row(what, 'before', pairs, `processor x${processorRatio(pairs).toFixed(2)}`)
      report.promise(ratioOf(pairs) >= EVEN, `${what} as fast as before: ${ratioOf(pairs).toFixed(3)}`)
    }
  } finally {
    await registry.end()
    rmSync(work, { recursive: true, force: true })
  }
}

/** Words of each command, which may write to `output`. */
function cases({ size, work, registry }) {
  const { wim } = corpusWim(size)
  const forms = corpusForms(size)
  const tree = corpusTree(size)
  const layer = corpusLayer(size)
  const layout = corpusLayout(size)
  const output = join(work, 'output')
  const bundle = join(work, 'bundle')
  const images = join(work, 'images')
  execFileSync(process.execPath, [NOW, 'pack', `oci:${layout}`, '-o', bundle, '-q'], { stdio: 'ignore' })
  makeImages(images, size)
  const name = `${registry.domain}/bench/app`
  const tags = Array.from({ length: 8 }, (_, n) => `v${n}`)
  for (const tag of tags)
    execFileSync(process.execPath, [NOW, 'copy', `oci:${images}:${tag}`, `docker://${name}:${tag}`, '-q'])
  const fromWim = (file, compression) => ['layer', 'from-wim', file, '--image=1', `--compression=${compression}`, '-q']
  return [
    ['layer, LZX to gzip', [...fromWim(wim, 'gzip'), '-o', output]],
    ['layer, LZX to zstd', [...fromWim(wim, 'zstd'), '-o', output]],
    ['layer, solid LZMS to zstd', [...fromWim(forms.solid[0], 'zstd'), '-o', output]],
    ['WIM of a layer, LZX', ['layer', 'to-wim', layer, '-o', output, '--compress=LZX']],
    ['WIM of a layer, XPRESS', ['layer', 'to-wim', layer, '-o', output, '--compress=XPRESS']],
    ['verify a bundle', ['verify', bundle]],
    ...Object.entries({ lzx: [wim], ...forms }).map(([form, [path]]) => [
      `wim verify, ${form}`,
      ['wim', 'verify', path],
    ]),
    ['wim info', ['wim', 'info', wim]],
    ['wim dir --json', ['wim', 'dir', wim, '--json']],
    ['wim apply', ['wim', 'apply', wim, '1', output], () => mkdirSync(output)],
    ['wim capture, XPRESS', ['wim', 'capture', tree, output, 'bench', '--compress=XPRESS']],
    ['wim capture, LZX', ['wim', 'capture', tree, output, 'bench', '--compress=LZX']],
    ['wim export, LZX to XPRESS', ['wim', 'export', wim, '1', output, '--compress=XPRESS']],
    ['wim export, as it is', ['wim', 'export', wim, '1', output]],
    ['pack from a registry', ['pack', ...tags.map(tag => `docker://${name}:${tag}`), '-o', output, '-q']],
    ['push to a registry', ['copy', `oci:${images}:v7`, `docker://${name}:v7`, '-q'], () => registry.empty()],
    ['stowage --version', ['--version']],
    ['stowage --help', ['--help']],
  ]
}

const processorRatio = pairs =>
  ratioOf(pairs.map(({ ours, peer }) => ({ ours: { seconds: ours.cpu }, peer: { seconds: peer.cpu } })))
