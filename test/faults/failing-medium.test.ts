/** A stick with a defect: the exit code says so, and nothing looks whole that is not. */
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { constants } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { blobPath } from '../../src/oci/layout.js'
import { SAMPLE, testHost } from '../support/base-images.js'
import { writeBundle } from '../support/bundles.js'
import { type CommandResult, stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const root = scratch(t)
const preload = join(root, 'failing-medium.so')
execFileSync('cc', ['-shared', '-fPIC', '-o', preload, join(import.meta.dirname, 'failing-medium.c'), '-ldl'])
const image = await layeredImage(2)
const layer = blobPath(image.layers[1]!.digest)
await writeBundle(join(root, 'bundle'), { 'shop:1': image })
const env = { LD_PRELOAD: preload, STOWAGE_FAILING_READS: layer }

/** What each reason is called, with its exit code; the numbers are those of Linux. */
const GONE =
  /(?:the medium of .* is gone: |\[WIMLIB_ERR_).*\nhint: .*(?:Plug the medium in|plug it in|mount the share) again/is
const REASONS = [
  { errno: constants.errno.EIO, code: 11, text: /the medium of .* failed: i\/o error.*\nhint: .*another/s },
  { errno: constants.errno.ENODEV, code: 11, text: GONE },
  { errno: constants.errno.ENXIO, code: 11, text: GONE },
  { errno: constants.errno.ENOTCONN, code: 11, text: GONE },
  { errno: constants.errno.ESTALE, code: 11, text: GONE },
  { errno: constants.errno.ENOSPC, code: 7, text: /no space left on the file system of .*\nhint: Free some space/s },
  { errno: constants.errno.EFBIG, code: 7, text: /cannot hold a file of this size.*\nhint: /s },
  { errno: constants.errno.EROFS, code: 1, text: /read-only file system.*\nhint: Mount the file system writable/s },
]
/** Errors of a file that is read. */
const READING = REASONS.slice(0, 5)

const host = testHost(t, { DOCKER_HOST: '', SOURCE_DATE_EPOCH: '1700000000' })
const wim = 'NanoServer-10-0-14300-1010.wim'
const master = join(root, 'master')

/** All that the commands below read, in `master`. */
async function writeMaster(): Promise<void> {
  const run = async (...words: string[]): Promise<void> => {
    const { code, stderr } = await host.run(words.map(word => word.replaceAll('HERE', master)))
    if (code !== 0) throw new Error(`${words.join(' ')}: ${stderr}`)
  }
  mkdirSync(join(master, 'wims'), { recursive: true })
  copyFileSync(SAMPLE, join(master, 'wims', wim))
  await writeLayout(join(master, 'layout'), {
    'shop:1': await layeredImage(2, { size: 1_500_000 }),
    'shop:2': await layeredImage(2, { size: 1_200_000, seed: 'other' }),
  })
  await run('pack', 'oci:HERE/layout:shop:1', '-o', 'HERE/site')
  await run('pack', 'oci:HERE/layout:shop:1', '-o', 'HERE/site.tar')
  await run('split', 'HERE/site.tar', '-o', 'HERE/cut.tar', '--volume-size', '1MB')
  await run('inventory', 'bundle:HERE/site', '-o', 'HERE/site.json')
  await run('pack', 'oci:HERE/layout:shop:1', 'oci:HERE/layout:shop:2', '--have', 'HERE/site.json', '-o', 'HERE/delta')
  for (const form of ['oci', 'docker']) await run('copy', 'oci:HERE/layout:shop:1', `${form}-archive:HERE/${form}.tar`)
  cpSync(join(master, 'site'), join(master, 'damaged'), { recursive: true })
  await run('protect', 'HERE/damaged')
  const damaged = join(master, 'damaged', 'README.txt')
  writeFileSync(damaged, readFileSync(damaged, 'utf8').replace('README', 'readme').slice(0, -1) + '?')
}

interface Failing {
  readonly words: readonly string[]
  /** Bytes that pass before the fault; 0 if left out. */
  readonly after?: number
}

/** Runs `words`, in which MEDIUM is the one that fails and HERE a directory that does not. */
async function runFailing(
  { words, after = 0 }: Failing,
  variable: 'STOWAGE_FAILING_READS' | 'STOWAGE_FAILING_WRITES',
  fault: Readonly<Record<string, string>>,
  [medium, here]: readonly [string, string],
): Promise<CommandResult> {
  const sources = words.flatMap((word, n) => (words[n - 1] === '--source' ? [word] : []))
  for (const source of sources)
    await host.run(['source', 'add', 'lab', source.replace('MEDIUM', medium).replace('HERE', here), '--trusted'])
  const result = await host.run(
    words.map((word, n) =>
      words[n - 1] === '--source' ? 'lab' : word.replaceAll('MEDIUM', medium).replaceAll('HERE', here),
    ),
    {
      env: {
        ...host.env,
        LD_PRELOAD: preload,
        [variable]: `${medium}/`,
        STOWAGE_FAILING_AFTER: String(after),
        ...fault,
      },
    },
  )
  if (sources.length > 0) await host.run(['source', 'remove', 'lab'])
  return result
}

const READERS: readonly Failing[] = [
  { words: ['verify', 'MEDIUM/site'] },
  { words: ['verify', 'MEDIUM/site'], after: 3000 },
  { words: ['verify', 'MEDIUM/site.tar'] },
  { words: ['verify', 'MEDIUM/cut.tar.001'] },
  { words: ['verify', 'MEDIUM/cut.tar.001'], after: 100_000 },
  { words: ['verify', '--repair', 'MEDIUM/damaged'] },
  { words: ['verify', 'MEDIUM/delta', '--against', 'bundle:HERE/site'] },
  { words: ['load', 'MEDIUM/site', '--to', 'oci:HERE/store'], after: 100_000 },
  { words: ['load', 'MEDIUM/cut.tar.001', '--to', 'oci:HERE/store'], after: 100_000 },
  { words: ['load', 'MEDIUM/site.tar', '--to', 'docker-archive:HERE/x.tar'], after: 100_000 },
  { words: ['copy', 'oci:MEDIUM/layout:shop:1', 'oci-archive:HERE/x.tar'], after: 100_000 },
  { words: ['pack', 'oci:MEDIUM/layout:shop:1', '-o', 'HERE/p.tar'] },
  { words: ['pack', 'docker-archive:MEDIUM/docker.tar', '-o', 'HERE/p'], after: 100_000 },
  { words: ['pack', `wim:MEDIUM/wims/${wim}`, '-o', 'HERE/p'], after: 3000 },
  { words: ['pack', 'oci:HERE/layout:shop:2', '--have', 'MEDIUM/site.json', '-o', 'HERE/p'] },
  { words: ['join', 'MEDIUM/cut.tar.001', '-o', 'HERE/j.tar'] },
  { words: ['join', 'MEDIUM/cut.tar.001', '-o', 'HERE/j.tar'], after: 100_000 },
  { words: ['split', 'MEDIUM/site', '-o', 'HERE/s.tar', '--volume-size', '1MB'], after: 100_000 },
  { words: ['merge', 'MEDIUM/site', 'MEDIUM/delta', '-o', 'HERE/m'], after: 100_000 },
  { words: ['protect', 'MEDIUM/site'], after: 3000 },
  { words: ['diff', 'MEDIUM/site', 'MEDIUM/delta'], after: 3000 },
  { words: ['inventory', 'oci:MEDIUM/layout'], after: 300 },
  { words: ['inventory', 'bundle:MEDIUM/site'] },
  { words: ['inspect', 'bundle:MEDIUM/site'] },
  { words: ['find', 'NanoServer', '--source', 'MEDIUM/wims'] },
  { words: ['save', 'NanoServer', '--path', 'HERE', '--source', 'MEDIUM/wims'] },
  { words: ['install', 'NanoServer', '--source', 'MEDIUM/wims', '--to', 'oci:HERE/store'], after: 3000 },
  { words: ['serve', 'MEDIUM/site', '--listen', '127.0.0.1:0'] },
]

const WRITERS: readonly Failing[] = [
  { words: ['pack', 'oci:HERE/layout:shop:2', '-o', 'MEDIUM/p'], after: 3000 },
  { words: ['pack', 'oci:HERE/layout:shop:2', '-o', 'MEDIUM/p.tar'], after: 3000 },
  { words: ['pack', 'oci:HERE/layout:shop:2', '-o', 'MEDIUM/v.tar', '--volume-size', '1MB'], after: 3000 },
  { words: ['pack', 'oci:HERE/layout:shop:2', '-o', 'MEDIUM/site', '--update'], after: 3000 },
  { words: ['copy', 'oci:HERE/layout:shop:1', 'oci:MEDIUM/store'], after: 3000 },
  { words: ['copy', 'oci:HERE/layout:shop:1', 'oci-archive:MEDIUM/x.tar'], after: 3000 },
  { words: ['copy', 'oci:HERE/layout:shop:1', 'docker-archive:MEDIUM/x.tar'], after: 3000 },
  { words: ['load', 'HERE/site', '--to', 'oci:MEDIUM/store'], after: 3000 },
  { words: ['join', 'HERE/cut.tar.001', '-o', 'MEDIUM/j.tar'], after: 3000 },
  { words: ['split', 'HERE/site.tar', '-o', 'MEDIUM/s.tar', '--volume-size', '1MB'], after: 3000 },
  { words: ['merge', 'HERE/site', 'HERE/delta', '-o', 'MEDIUM/m.tar'], after: 3000 },
  { words: ['protect', 'MEDIUM/site'], after: 3000 },
  { words: ['verify', '--repair', 'MEDIUM/damaged'] },
  { words: ['inventory', 'oci:HERE/layout', '-o', 'MEDIUM/i.json'] },
  { words: ['tag', 'shop:1', 'shop:9', '--store', 'oci:MEDIUM/layout'] },
  { words: ['save', 'NanoServer', '--path', 'MEDIUM', '--source', 'HERE/wims'], after: 3000 },
  { words: ['install', '--wim', SAMPLE, '--to', 'oci:MEDIUM/store'], after: 3000 },
]

/** What a user would take for whole: sealed bundles, archives, WIMs and layouts with an image. */
function looksWhole(medium: string): readonly string[] {
  return readdirSync(medium).filter(
    name =>
      !name.includes('.partial') &&
      !name.startsWith('.') &&
      (/\.(?:tar|wim|json)$/.test(name) || existsSync(join(medium, name, 'bundle.json'))),
  )
}

await writeMaster()

t.test('verify - names the file that cannot be read, and exits with 11', async t => {
  const { stdout, code } = await stowage(['verify', join(root, 'bundle')], { env })
  t.equal(code, 11)
  t.match(stdout, new RegExp(`MEDIUM_FAILED  ${layer}: the medium of .* failed: i/o error`))
  const damaged = await stowage(['verify', join(root, 'bundle')], { env: { ...env, STOWAGE_FAILING_READS: 'none' } })
  t.equal(damaged.code, 0, 'and the same bundle is whole on a medium that works')
})

t.test('load - exits with 11, and leaves no image', async t => {
  const { stderr, code } = await stowage(['load', join(root, 'bundle'), '--to', `oci:${join(root, 'store')}`], { env })
  t.equal(code, 11)
  t.match(stderr, /the medium of .* failed: i\/o error.*\nhint: .*use another/s)
  const { stdout } = await stowage(['images', '--store', `oci:${join(root, 'store')}`, '--quiet'])
  t.equal(stdout, '')
})

t.test('pack - from a failing medium exits with 11, and seals nothing', async t => {
  const { code } = await stowage(['pack', `bundle:${join(root, 'bundle')}`, '-o', join(root, 'copy.tar')], { env })
  t.equal(code, 11)
  t.notOk(existsSync(join(root, 'copy.tar')))
})

t.test('pack - a bundle that cannot be read is not "something else that is in the way"', async t => {
  await writeLayout(join(root, 'layout'), { 'shop:1': image })
  const { stderr, code } = await stowage(['pack', `oci:${join(root, 'layout')}`, '-o', join(root, 'bundle')], {
    env: { ...env, STOWAGE_FAILING_READS: 'bundle.json' },
  })
  t.equal(code, 11)
  t.match(stderr, /the medium of .* failed: i\/o error/)
  t.notMatch(stderr, /taken over|not empty/)
})

t.test('each command that reads names the reason for which it cannot', async t => {
  for (const [n, failing] of READERS.entries()) {
    const reason = READING[n % READING.length]
    if (!reason) continue
    const here = scratch(t)
    cpSync(master, here, { recursive: true })
    const before = looksWhole(here)
    const run = await runFailing(failing, 'STOWAGE_FAILING_READS', { STOWAGE_FAILING_ERRNO: String(reason.errno) }, [
      master,
      here,
    ])
    const what = `${failing.words.join(' ')} (${reason.errno}): ${run.stdout}${run.stderr}`
    t.equal(run.code, reason.code, what)
    t.match(run.stdout + run.stderr, reason.text, what)
    t.notMatch(run.stdout + run.stderr, /does not exist|is not whole|no recovery data|damaged, so|is a bug/, what)
    t.same(looksWhole(here), before, what)
  }
})

t.test('each command that writes names the reason for which it cannot', async t => {
  for (const [n, failing] of WRITERS.entries()) {
    // Each command with one of the reasons: what names them is one function
    for (const { errno, code, text } of REASONS.filter((_, at) => at === n % REASONS.length)) {
      const medium = scratch(t)
      cpSync(master, medium, { recursive: true })
      const before = looksWhole(medium)
      const run = await runFailing(failing, 'STOWAGE_FAILING_WRITES', { STOWAGE_FAILING_ERRNO: String(errno) }, [
        medium,
        master,
      ])
      const what = `${failing.words.join(' ')} (${errno}): ${run.stdout}${run.stderr}`
      t.equal(run.code, code, what)
      t.match(run.stderr, text, what)
      t.notMatch(run.stderr, /taken over|trying again|Try again|is a bug/, what)
      t.same(looksWhole(medium), before, what)
      rmSync(medium, { recursive: true })
    }
  }
})

t.test('a medium that is unmounted in the middle is gone, not a place where files do not exist', async t => {
  const directory = join(scratch(t), 'medium with blanks')
  mkdirSync(directory)
  const unmount = (): void => void spawnSync('umount', ['--lazy', directory])
  t.teardown(unmount)
  for (const [variable, failing] of [
    ...READERS.filter((_, n) => n % 3 === 1).map(each => ['STOWAGE_FAILING_READS', each] as const),
    ...WRITERS.filter((_, n) => n % 3 === 1).map(each => ['STOWAGE_FAILING_WRITES', each] as const),
  ]) {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', directory])
    cpSync(master, directory, { recursive: true })
    const here = scratch(t)
    cpSync(master, here, { recursive: true })
    const fault = { STOWAGE_FAILING_MOUNT: directory, STOWAGE_FAILING_ERRNO: String(constants.errno.ENODEV) }
    const run = await runFailing(failing, variable, fault, [directory, here])
    unmount()
    const what = `${failing.words.join(' ')}: ${run.stdout}${run.stderr}`
    t.equal(run.code, 11, what)
    t.match(run.stdout + run.stderr, GONE, what)
    t.notMatch(run.stdout + run.stderr, /does not exist|lists the file|is a bug/, what)
    t.same(readdirSync(directory), [], 'nothing was written where it had been mounted')
    rmSync(here, { recursive: true })
  }
})

t.test('a socket is not a medium that is gone', async t => {
  const path = join(scratch(t), 'socket')
  const server = createServer()
  await new Promise<void>(resolve => void server.listen(path, resolve))
  t.teardown(() => server.close())
  const { code, stderr } = await stowage(['verify', path])
  t.not(code, 11, stderr)
  t.notMatch(stderr, /the medium of/)
})
