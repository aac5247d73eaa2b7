/** `stowage layer from-wim --base` against the whole layer, on a corpus of which one file in twenty has changed. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { corpusTree, corpusWim } from './corpus.mjs'
import { measureNode, median } from './measure.mjs'
import { held, megabytes, peak, ratioOf } from './report.mjs'

const MAIN = resolve(import.meta.dirname, '..', 'dist', 'cli', 'main.js')
/** One file in so many is changed, and one in ten times as many is deleted. */
const CHANGED = 20

export async function benchDifference({ size, rounds, report }) {
  const base = corpusWim(size)
  const wim = changedWim(size)
  const work = mkdtempSync(join(tmpdir(), 'stowage-bench-difference-'))
  try {
    const layer = join(work, 'base.tar.gz')
    execFileSync(process.execPath, [MAIN, 'layer', 'from-wim', base.wim, '-o', layer, '-q'], { stdio: 'ignore' })
    for (const [what, below] of Object.entries({ 'a WIM': base.wim, 'a layer': layer })) {
      const title = `difference from ${what}, ${megabytes(base.bytes)} in ${base.files} files`
      const pairs = await report.alternate(
        title,
        () => made(work, wim, ['--base', below]),
        () => made(work, wim, []),
        rounds,
      )
      const share = median(pairs.map(pair => pair.ours.size / pair.peer.size))
      const note = `${(100 * share).toFixed(1)} % of the size, event loop held ${held(pairs)} ms`
      report.row(title, 'stowage layer from-wim, the whole layer', pairs, note)
      report.promise(share <= 0.15, `a difference of a twentieth in under 15 % of the size: ${share.toFixed(3)}`)
      report.promise(
        ratioOf(pairs) >= 1,
        `a difference from ${what} as fast as the whole: ${ratioOf(pairs).toFixed(2)}`,
      )
      report.promise(peak(pairs) <= 512e6, `a difference within 512 MB: ${megabytes(peak(pairs))}`)
      report.promise(held(pairs) <= 50, `a difference with an event loop never held over 50 ms: ${held(pairs)}`)
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function made(work, wim, options) {
  const output = join(work, 'made.tar.gz')
  rmSync(output, { force: true })
  const run = await measureNode([MAIN, 'layer', 'from-wim', wim, '-o', output, ...options], { watched: [work], output })
  return { ...run, size: statSync(output).size }
}

/** The corpus after a month: kept beside it. wimlib-imagex changes it, so all other files keep their times. */
function changedWim(size) {
  const { wim } = corpusWim(size)
  const path = wim.replace(/\.wim$/, '-changed.wim')
  if (existsSync(path)) return path
  console.error(`bench: making ${path} once`)
  const tree = corpusTree(size)
  const paths = execFileSync('find', ['.', '-type', 'f', '-size', '+0'], { cwd: tree, maxBuffer: 1 << 28 })
    .toString()
    .trim()
    .split('\n')
    .map(name => name.slice(1))
    .filter(name => !name.includes('"') && !name.includes('config/'))
    .sort()
  const quoted = name => `"${name}"`
  const commands = paths.flatMap((name, n) => {
    if (n % (10 * CHANGED) === 1) return [`delete ${quoted(name)}`]
    if (n % CHANGED !== 0) return []
    const changed = `${path}.file-${n}`
    writeFileSync(
      changed,
      execFileSync('sh', ['-c', 'cat "$1" && echo changed', 'sh', join(tree, name)], { maxBuffer: 1 << 28 }),
    )
    return [`add ${quoted(changed)} ${quoted(name)}`]
  })
  execFileSync('cp', [wim, `${path}.partial`])
  execFileSync('wimlib-imagex', ['update', `${path}.partial`, '1'], {
    input: commands.join('\n'),
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  execFileSync('sh', ['-c', 'rm -f -- "$1".file-*', 'sh', path])
  renameSync(`${path}.partial`, path)
  return path
}
