/** Our decompressors of the chunks of WIMs against libwim's: one thread, the same chunks in memory, processor time. */
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

export function benchCodecs({ size, rounds, report }) {
  const work = mkdtempSync(join(tmpdir(), 'stowage-bench-codecs-'))
  try {
    const program = build(work)
    const { xpress, lzms, solid } = corpusForms(size)
    const forms = { xpress, lzx: [corpusWim(size).wim], lzms, 'solid lzms': solid }
    for (const [form, [wim]] of Object.entries(forms)) {
      const [made, ...lines] = execFileSync(program, [wim, String(2 * rounds)], { encoding: 'utf8' })
        .trim()
        .split('\n')
      const pairs = lines.map(line => {
        const [ours, peer] = line.split(' ').map(seconds => ({ seconds: Number(seconds), rss: 0 }))
        return { ours, peer }
      })
      const name = `decompress ${form}, to ${made} MB`
      report.row(name, 'libwim', pairs, 'processor time')
      report.promise(ratioOf(pairs) >= EVEN, `${name}, at least ${EVEN} times as fast: ${ratioOf(pairs).toFixed(2)}`)
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
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
