/** Our codecs of the chunks of WIMs against libwim's: one thread, the same chunks in memory, processor time. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { corpusForms, corpusWim } from './corpus.mjs'
import { ratioOf } from './report.mjs'

const ROOT = resolve(import.meta.dirname, '..')
const LIBRARIES = ['wim', ':libdeflate.a', ':libcrypto.a', ':libz.a', ':libzstd.a', ':liblzma.a', 'pthread']

/** Where ours is slower, `native/wim/decompressors.cc` must take libwim's. */
const EVEN = 0.95
/** What our compressor promises, at the normal level: no slower, and hardly larger. */
const COMPRESSED = { ratio: 1, size: 1.05 }

export function benchCodecs({ size, rounds, report }) {
  const work = mkdtempSync(join(tmpdir(), 'stowage-bench-codecs-'))
  try {
    const program = build(work)
    const { xpress, lzms, solid } = corpusForms(size)
    const forms = { xpress, lzx: [corpusWim(size).wim], lzms, 'solid lzms': solid }
    for (const [form, [wim]] of Object.entries(forms)) {
      const { head, pairs } = run(program, ['decompress', wim, String(2 * rounds)])
      const name = `decompress ${form}, to ${head} MB`
      report.row(name, 'libwim', pairs, 'processor time')
      report.promise(ratioOf(pairs) >= EVEN, `${name}, at least ${EVEN} times as fast: ${ratioOf(pairs).toFixed(2)}`)
    }
    const { head, pairs } = run(program, ['compress', xpress[0], String(2 * rounds)])
    const [taken, ours, peer] = head.split(' ').map(Number)
    const [name, larger] = [`compress xpress, of ${taken} MB`, ours / peer]
    report.row(name, 'libwim', pairs, `processor time, size x${larger.toFixed(3)}`)
    const { ratio, size: largest } = COMPRESSED
    report.promise(ratioOf(pairs) >= ratio, `${name}, at least as fast: ${ratioOf(pairs).toFixed(2)}`)
    report.promise(larger <= largest, `${name}, to no more than ${largest} times the size: ${larger.toFixed(3)}`)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The first line that it prints, and the times of both in the others. */
function run(program, args) {
  const [head, ...lines] = execFileSync(program, args, { encoding: 'utf8' }).trim().split('\n')
  const pairs = lines.map(line => {
    const [ours, peer] = line.split(' ').map(seconds => ({ seconds: Number(seconds), rss: 0 }))
    return { ours, peer }
  })
  return { head, pairs }
}

/** Of what the addon was made of, as it was compiled for it. */
function build(directory) {
  const program = join(directory, 'codecs')
  const listed = execFileSync(process.execPath, ['native/sources.mjs', 'linux', 'base', 'codecs', 'wim'], { cwd: ROOT })
  const objects = listed
    .toString()
    .trim()
    .split('\n')
    .map(source => join('build', 'Release', 'obj.target', 'stowage', source.replace(/\.cc$/, '.o')))
  const flags = ['-std=c++17', '-O2', '-Inative', '-o', program]
  const args = [...flags, 'bench/codecs.cc', ...objects, ...LIBRARIES.map(name => `-l${name}`)]
  execFileSync('g++', args, { cwd: ROOT, stdio: 'inherit' })
  return program
}
