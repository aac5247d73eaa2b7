/** `-` as an output: the same bytes as in a file, the report on stderr, and never a file of that name. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const EPOCH = { SOURCE_DATE_EPOCH: '0' }
const work = scratch(t)
const at = (name: string): string => join(work, name)
await writeLayout(at('layout'), { 'shop:1': await layeredImage(2) })
execFileSync('mkdir', ['-p', at('tree/Files/Windows')])
execFileSync('sh', ['-c', 'echo hello > "$0"', at('tree/Files/Windows/a.txt')])

/** Runs the command with `-` and then with `file` as output, and compares. */
async function sameAs(words: (output: string) => readonly string[], file: string): Promise<string> {
  const streamed = await stowage(words('-'), { cwd: work, env: EPOCH, output: at(`${file}.streamed`) })
  t.equal(streamed.code, 0, streamed.stderr)
  t.notOk(existsSync(at('-')))
  const written = await stowage(words(file), { cwd: work, env: EPOCH })
  t.equal(written.code, 0, written.stderr)
  const [mine, other] = [`${file}.streamed`, file].map(name => readFileSync(at(name)))
  if (file.endsWith('.wim')) for (const bytes of [mine, other]) bytes?.fill(0, 24, 40) // every WIM has a GUID of its own
  t.ok(other && mine?.equals(other), file)
  return streamed.stderr
}

t.test('layer from-dir, to-wim, from-wim -o - write what they write to a file', async t => {
  const report = await sameAs(output => ['layer', 'from-dir', 'tree', '-o', output], 'plain.tar.gz')
  t.match(report, /^diffID +sha256:/m)
  await sameAs(output => ['layer', 'to-wim', 'plain.tar.gz', '--unix-data', '-o', output], 'plain.wim')
  await sameAs(output => ['layer', 'from-wim', 'plain.wim', '--unix-data', '-o', output], 'again.tar.gz')
})

t.test(
  'copy to docker-archive:- and oci-archive:- write what they write to a file; a directory is refused',
  async t => {
    for (const scheme of ['docker-archive', 'oci-archive']) {
      await sameAs(output => ['copy', 'oci:layout:shop:1', `${scheme}:${output}`, '-t', 'shop:1'], `${scheme}.tar`)
    }
    const { code, stderr } = await stowage(['copy', 'oci:layout:shop:1', 'oci:-'], { cwd: work })
    t.equal(code, 2)
    t.match(stderr, /oci:- is a directory, which cannot be standard output\nhint: A directory called "-" is oci:\.\/-/)
  },
)
