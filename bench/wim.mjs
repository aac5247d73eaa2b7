/** `stowage wim` against wimlib-imagex: the same command, whole processes, on the same files. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { corpusForms, corpusTree, corpusWim } from './corpus.mjs'
import { measure } from './measure.mjs'
import { megabytes, ratioOf } from './report.mjs'

const MAIN = resolve(import.meta.dirname, '..', 'dist', 'cli', 'main.js')

/** No slower than the peer, but for what two equal runs differ by on a quiet machine. */
const EVEN = 0.95

/** Verification first: it writes nothing that the others would wait for. */
export async function benchWim({ size, rounds, report }) {
  const work = mkdtempSync(join(outputRoot(3 * size), 'stowage-bench-wim-'))
  try {
    await compareAll({ size, rounds, work, report })
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Memory, where it holds `size` bytes: a disk that writes back as it likes says nothing about a program. */
function outputRoot(size) {
  const memory = '/dev/shm'
  if (!existsSync(memory)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize > size && freemem() > 2 * size ? memory : tmpdir()
}

async function compareAll({ size, rounds, work, report }) {
  const { wim, files, bytes } = corpusWim(size)
  const forms = corpusForms(size)
  const tree = corpusTree(size)
  const output = join(work, 'output')
  const what = `${megabytes(bytes)} in ${files} files`

  for (const [form, paths] of Object.entries({ lzx: [wim], ...forms })) {
    warm(paths)
    // wimlib-imagex finds no parts by itself
    const references = paths.slice(1).map(path => `--ref=${path}`)
    const pairs = await compare(`wim verify, ${form}`, ['verify', paths[0]], ['verify', paths[0], ...references])
    const least = form === 'lzx' ? 1.5 : 1
    const claim = `wim verify of ${form} at least ${least} times as fast as wimlib-imagex`
    report.promise(ratioOf(pairs) >= least, `${claim}: ${ratioOf(pairs).toFixed(2)}`)
  }
  warm([wim])
  const dir = `wim dir --json, ${files} files`
  const listed = await compare(dir, ['dir', wim, '--json'], ['dir', wim, '--detailed'], 'dir --detailed')
  report.promise(ratioOf(listed) > 1, `wim dir --json faster than dir --detailed: ${ratioOf(listed).toFixed(2)}`)

  const capture = options => ['capture', tree, output, 'bench', ...options]
  const exported = options => ['export', wim, '1', output, ...options]
  await even(`wim apply, ${what}`, ['apply', wim, '1', output])
  await even(`wim capture, XPRESS, ${what}`, capture(['--compress=XPRESS']))
  // The default takes so long that a round says enough.
  await even('wim capture, LZX', capture([]), 1)
  await even('wim export, LZX to XPRESS', exported(['--compress=XPRESS']))
  await even('wim export, as it is', exported([]))

  async function even(name, args, times) {
    const pairs = await compare(name, args, args, args[0], times)
    report.promise(ratioOf(pairs) >= EVEN, `${name} as fast as wimlib-imagex within 5 %: ${ratioOf(pairs).toFixed(2)}`)
  }

  async function compare(name, ours, peer, peerName = peer[0], times = rounds) {
    const pairs = await report.alternate(
      name,
      () => run(process.execPath, [MAIN, 'wim', ...ours], output),
      () => run('wimlib-imagex', peer, output),
      times,
    )
    report.row(name, `wimlib-imagex ${peerName}`, pairs)
    return pairs
  }
}

/** Outside the clock: what the last run left, removed, and what it has still to write, written. */
async function run(command, args, output) {
  if (output !== undefined) rmSync(output, { recursive: true, force: true })
  execFileSync('sync')
  if (args.includes('apply')) mkdirSync(output)
  const measured = await measure(command, args, { quiet: true })
  if (args.includes(output) && !existsSync(output)) throw new Error(`${command} left no ${output}`)
  return measured
}

function warm(paths) {
  execFileSync('sh', ['-c', 'cat "$@" >/dev/null', 'sh', ...paths])
}
