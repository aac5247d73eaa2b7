/**
 * Calls of the system that fail, other than reading and writing: opening, making, listing, renaming, removing, syncing. The
 * reason is named, nothing that looks whole is not, the same command then succeeds, and prune knows what is left.
 * `STOWAGE_FAILING_CALLS=N` has N calls of each kind fail in turn for each command, and not just a spread of a minute.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join, relative } from 'node:path'
import t from 'tap'
import { SAMPLE, testHost } from '../support/base-images.js'
import type { CommandResult } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const root = scratch(t)
const preload = join(root, 'failing-call.so')
execFileSync('cc', ['-shared', '-fPIC', '-o', preload, join(import.meta.dirname, 'failing-call.c'), '-ldl'])
const host = testHost(t, { DOCKER_HOST: '', SOURCE_DATE_EPOCH: '1700000000' })
const here = join(root, 'here')
const wim = 'NanoServer-10-0-14300-1010.wim'

/** Runs `words`, in which HERE is a directory that does not fail and MEDIUM one that may. */
async function run(
  words: readonly string[],
  medium: string,
  fault: Record<string, string> = {},
): Promise<CommandResult> {
  const named = words.map(word => word.replaceAll('HERE', here).replaceAll('MEDIUM', medium))
  return await host.run(named, { env: { ...host.env, ...fault } })
}

async function expectRun(...words: readonly string[]): Promise<void> {
  const { code, stderr } = await run(words, '')
  if (code !== 0) throw new Error(`${words.join(' ')}: ${stderr}`)
}

mkdirSync(join(here, 'wims'), { recursive: true })
copyFileSync(SAMPLE, join(here, 'wims', wim))
await writeLayout(join(here, 'layout'), {
  'shop:1': await layeredImage(2, { size: 300_000 }),
  'shop:2': await layeredImage(2, { size: 300_000, seed: 'other' }),
})
await expectRun('pack', 'oci:HERE/layout:shop:1', '-o', 'HERE/site')
await expectRun('pack', 'oci:HERE/layout:shop:1', '-o', 'HERE/site.tar')
await expectRun('split', 'HERE/site.tar', '-o', 'HERE/cut.tar', '--volume-size', '250kB')
await expectRun('inventory', 'bundle:HERE/site', '-o', 'HERE/site.json')
await expectRun(
  'pack',
  'oci:HERE/layout:shop:1',
  'oci:HERE/layout:shop:2',
  '--have',
  'HERE/site.json',
  '-o',
  'HERE/delta',
)
cpSync(join(here, 'site'), join(here, 'lost'), { recursive: true })
await expectRun('protect', 'HERE/lost')
rmSync(join(here, 'lost', 'index.json'))
await expectRun('source', 'add', 'lab', join(here, 'wims'), '--trusted')

interface Command {
  readonly words: readonly string[]
  /** What is on the medium before, of what is in `here`. */
  readonly there?: readonly string[]
  /** If the command itself says that another one goes on. */
  readonly again?: readonly string[]
}

const PACK = ['pack', 'oci:HERE/layout:shop:2']
const COMMANDS: readonly Command[] = [
  { words: [...PACK, '-o', 'MEDIUM/p'] },
  { words: [...PACK, '-o', 'MEDIUM/p.tar'] },
  { words: [...PACK, '-o', 'MEDIUM/p.tar.gz'] },
  { words: [...PACK, '-o', 'MEDIUM/v.tar', '--volume-size', '250kB'] },
  {
    words: [...PACK, '-o', 'MEDIUM/r.tar', '--recovery', '10%'],
    again: ['protect', 'MEDIUM/r.tar', '--recovery', '10%'],
  },
  { words: [...PACK, '-o', 'MEDIUM/site', '--update'], there: ['site'] },
  { words: ['pack', `wim:HERE/wims/${wim}`, '-o', 'MEDIUM/w'] },
  { words: ['load', 'HERE/site', '--to', 'oci:MEDIUM/store'] },
  { words: ['copy', 'oci:HERE/layout:shop:1', 'docker-archive:MEDIUM/x.tar'] },
  { words: ['tag', 'shop:1', 'shop:9', '--store', 'oci:MEDIUM/layout'], there: ['layout'] },
  { words: ['save', 'NanoServer', '--path', 'MEDIUM'] },
  { words: ['save', 'NanoServer', '--path', 'MEDIUM', '--volume-size', '100kB'] },
  { words: ['install', 'NanoServer', '--to', 'oci:MEDIUM/store', '-t', 'nano:1'] },
  { words: ['join', 'HERE/cut.tar.001', '-o', 'MEDIUM/j.tar'] },
  { words: ['split', 'HERE/site.tar', '-o', 'MEDIUM/s.tar', '--volume-size', '250kB'] },
  { words: ['merge', 'HERE/site', 'HERE/delta', '-o', 'MEDIUM/m'] },
  { words: ['protect', 'MEDIUM/site'], there: ['site'] },
  { words: ['verify', '--repair', 'MEDIUM/lost'], there: ['lost'] },
]

const { EACCES, EDQUOT, EIO, EMFILE, ENOSPC, EROFS } = constants.errno
/** What the numbers of the system are called, with the exit code. */
const REASONS: Readonly<Record<number, { readonly code: number; readonly text: RegExp }>> = {
  [EIO]: { code: 11, text: /the medium of .* failed: i\/o error/ },
  [ENOSPC]: { code: 7, text: /no space left on the file system of / },
  [EDQUOT]: { code: 7, text: /no space left on the file system of / },
  [EROFS]: { code: 1, text: /read-only file system/ },
  [EACCES]: { code: 1, text: /permission denied/ },
  [EMFILE]: { code: 1, text: /out of resources: too many open files/ },
}
/** The calls, each with what it can fail with. */
const CALLS: Readonly<Record<string, readonly number[]>> = {
  create: [ENOSPC, EACCES, EIO, EMFILE, EROFS, EDQUOT],
  open: [EIO, EACCES, EMFILE],
  list: [EMFILE, EIO, EACCES],
  mkdir: [EDQUOT, EROFS, EIO, ENOSPC, EACCES],
  rename: [EIO, EROFS, ENOSPC],
  unlink: [EROFS, EIO],
  rmdir: [EIO],
  fsync: [EIO, EDQUOT, ENOSPC],
  ftruncate: [ENOSPC, EIO],
}

/** All files below `directory`, each with its SHA-256. */
function filesIn(directory: string): ReadonlyMap<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return new Map(
    files.map(entry => {
      const path = join(entry.parentPath, entry.name)
      return [relative(directory, path), createHash('sha256').update(readFileSync(path)).digest('hex')]
    }),
  )
}

/** What is there under its final name, and neither as it was before nor as a run without a fault makes it. */
function wrongIn(
  medium: string,
  before: ReadonlyMap<string, string>,
  made: ReadonlyMap<string, string>,
): readonly string[] {
  return [...filesIn(medium)].flatMap(([path, sum]) => {
    const marked = existsSync(join(medium, path.split('/')[0] ?? '', 'INCOMPLETE'))
    const named = made.has(path) && !marked && !/\.partial$|\.lock$/.test(path)
    return named && sum !== made.get(path) && sum !== before.get(path) ? [path] : []
  })
}

/** The spread: of the calls that a command makes, which fail, with what, and whether all later ones do. */
let turn = 0
const many = Number(process.env['STOWAGE_FAILING_CALLS'] ?? 0)
function faultsOf(calls: readonly string[]): readonly { call: string; nth: number; errno: number; on: boolean }[] {
  const kinds = Object.keys(CALLS).filter(call => calls.includes(call))
  const chosen = many > 0 ? kinds : [0, 1, 2].map(n => kinds[(turn + n * 3) % kinds.length] ?? '')
  return [...new Set(chosen)].flatMap(call => {
    const count = calls.filter(each => each === call).length
    const errnos = CALLS[call] ?? []
    return Array.from({ length: Math.min(Math.max(many, 1), count) }, (_, n) => {
      turn += 1
      const nth = many > 0 ? Math.floor((n * count) / Math.min(many, count)) + 1 : ((turn * 7) % count) + 1
      return { call, nth, errno: errnos[turn % errnos.length] ?? EIO, on: turn % 3 === 0 }
    })
  })
}

for (const command of COMMANDS) {
  t.test(`${command.words.join(' ')} - says which call failed and why, and succeeds when it does not`, async t => {
    const plug = (): string => {
      const medium = scratch(t)
      for (const name of command.there ?? []) cpSync(join(here, name), join(medium, name), { recursive: true })
      return medium
    }
    const model = plug()
    const before = filesIn(model)
    const log = join(scratch(t), 'calls')
    const listed = { LD_PRELOAD: preload, STOWAGE_FAILING_IN: model, STOWAGE_FAILING_LOG: log }
    t.match(await run(command.words, model, listed), { code: 0 })
    const made = filesIn(model)
    const calls = readFileSync(log, 'utf8')
      .split('\n')
      .map(line => line.split(' ', 1)[0] ?? '')
    for (const { call, nth, errno, on } of faultsOf(calls)) {
      const medium = plug()
      writeFileSync(log, '')
      const fault = {
        STOWAGE_FAILING_CALL: call,
        STOWAGE_FAILING_NTH: String(nth),
        STOWAGE_FAILING_ERRNO: String(errno),
        ...(on ? { STOWAGE_FAILING_ON: '1' } : {}),
      }
      const result = await run(command.words, medium, { ...listed, STOWAGE_FAILING_IN: medium, ...fault })
      const hit = readFileSync(log, 'utf8').split('\n')[0] ?? ''
      const what = `${call} ${nth} fails with ${errno}, ${hit}: ${result.code} ${result.stdout}${result.stderr}`
      t.not(hit, '', what)
      const { code, text } = REASONS[errno] ?? { code: 0, text: /./ }
      if (result.code !== 0) {
        t.equal(result.code, code, what)
        t.match(result.stdout + result.stderr, text, what)
        t.match(result.stdout + result.stderr, /\nhint: /, what)
        t.notMatch(result.stderr, /is a bug|taken over|trying again|not empty|\.js:\d/, what)
      }
      t.same(wrongIn(medium, before, made), [], what)
      let again = await run(command.words, medium)
      if (again.code !== 0 && command.again && again.stderr.includes(command.again[0] ?? ''))
        again = await run(command.again, medium)
      const done = again.code === 0 || (result.code === 0 && / exists already/.test(again.stderr))
      t.ok(done, `${what}, and then: ${again.stdout}${again.stderr}`)
      t.match(await run(['prune', 'MEDIUM'], medium), { code: 0 }, what)
      t.same([...filesIn(medium)].sort(), [...made].sort(), what)
      t.same(readdirSync(host.env['TMPDIR'] ?? ''), [], what)
      rmSync(medium, { recursive: true })
    }
  })
}
