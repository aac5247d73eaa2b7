import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { thisOwner } from '../../src/blob/owner.js'
import { findWorkspaces, temporaryDirectory, Workspace } from '../../src/blob/workspace.js'
import { prune } from '../../src/verbs/prune.js'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'

const HOUR = 60 * 60 * 1000

/** A workspace as a run leaves it that is killed. */
async function left(directory: string, name: string, owner: object, age = 0): Promise<string> {
  const path = join(directory, `.stowage-${name}`)
  mkdirSync(path)
  const time = new Date(Date.now() - age)
  writeFileSync(
    join(path, 'owner.json'),
    JSON.stringify({ ...(await thisOwner()), time: time.toISOString(), ...owner }),
  )
  writeFileSync(join(path, 'layer'), 'x'.repeat(1000))
  utimesSync(path, time, time)
  return path
}

/** The number of a process that has ended. */
function deadProcess(): number {
  return spawnSync(process.execPath, ['--version']).pid
}

t.test('a workspace is beside what is written, says whose it is, and is gone when it is disposed of', async t => {
  const cwd = t.testdir()
  {
    await using workspace = new Workspace(join(cwd, 'site.tar'))
    t.same(readdirSync(cwd), [], 'not made before it is needed')
    const path = await workspace.path()
    t.match(path, /\/\.stowage-[^/]+$/)
    t.same(readdirSync(cwd).length, 1)
    const owner = JSON.parse(readFileSync(join(path, 'owner.json'), 'utf8')) as Record<string, unknown>
    t.match(owner, { host: hostname(), process: process.pid, boot: String, time: /^\d{4}-/ })
    t.match(await findWorkspaces(cwd), [{ path, state: 'alive', owner: { process: process.pid } }])
  }
  t.same(readdirSync(cwd), [])
})

t.test('a workspace without a disk is in TMPDIR, else not in /tmp where /var/tmp can be had', async t => {
  t.equal(await temporaryDirectory({}), '/var/tmp')
  const directory = t.testdir()
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = directory
  t.teardown(() => (before === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = before)))
  await using workspace = new Workspace()
  t.equal(join(await workspace.path(), '..'), directory)
})

t.test('a workspace clears what dead runs of this host left, and what others left after a day', async t => {
  const cwd = t.testdir()
  await left(cwd, 'killed', { process: deadProcess() })
  await left(cwd, 'rebooted', { boot: 'another' })
  await left(cwd, 'reused-number', { began: '1' })
  await left(cwd, 'old-elsewhere', { host: 'elsewhere' }, 25 * HOUR)
  mkdirSync(join(cwd, '.stowage-nobody'))
  const kept = [
    await left(cwd, 'running', {}),
    await left(cwd, 'elsewhere', { host: 'elsewhere', process: deadProcess() }, HOUR),
    join(cwd, '.stowage-nobody'),
  ]
  writeFileSync(join(cwd, '.stowage-file'), 'not a directory')
  {
    await using workspace = new Workspace(join(cwd, 'x'))
    await workspace.path()
  }
  t.same(
    readdirSync(cwd).sort(),
    [...kept.map(path => path.slice(cwd.length + 1)), '.stowage-file'].sort(),
    'and nothing else',
  )
})

t.test('stowage prune - removes all but what is in use, and shows it first', async t => {
  const cwd = t.testdir()
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  t.teardown(() => child.kill())
  await left(cwd, 'elsewhere', { host: 'elsewhere' })
  await left(cwd, 'killed', { process: deadProcess() })
  const running = await left(cwd, 'running', { process: child.pid, began: '' })
  const shown = await stowage(['prune', '.', '--dry-run'], { cwd })
  t.equal(shown.code, 0, shown.stderr)
  t.match(shown.stdout, /Would remove 2 directories/)
  t.equal(readdirSync(cwd).length, 3)
  const done = await stowage(['prune', '.', '--json'], { cwd })
  t.equal(done.code, 0, done.stderr)
  const { freed, workspaces } = JSON.parse(done.stdout) as {
    freed: number
    workspaces: { path: string; kept: boolean }[]
  }
  t.ok(freed >= 2000, `${freed}`)
  t.same(
    workspaces.filter(({ kept }) => kept).map(({ path }) => join(cwd, path)),
    [running],
  )
  t.same(readdirSync(cwd), ['.stowage-running'])
  child.kill()
  await once(child, 'exit')
  t.equal((await prune([cwd])).workspaces.length, 1)
  t.same(readdirSync(cwd), [])
  t.equal((await stowage(['prune', 'nowhere'], { cwd })).code, 3)
})

t.test('stowage prune - removes unfinished outputs and blobs that nobody writes', async t => {
  const cwd = t.testdir({
    'x.tar.partial': 'bundle',
    'x.tar.001.partial': 'volume',
    'pipe.wim.mended.partial': 'mended',
    'report.partial': 'of somebody else',
    'open.wim.partial': 'being written',
    layout: { 'oci-layout': '{}', 'index.json.partial': '{}', 'oci-layout.partial': '{}', blobs: { sha256: {} } },
  })
  const blobs = join(cwd, 'layout', 'blobs', 'sha256')
  const machine = createHash('sha256').update(hostname()).digest('hex').slice(0, 8)
  const dead = `${'0'.repeat(64)}.${machine}-${deadProcess()}-1.partial`
  const created = `${randomUUID()}.${machine}-${deadProcess()}-2.partial`
  const alive = `${'1'.repeat(64)}.${machine}-${process.ppid}-1.partial`
  for (const name of [dead, created, alive, 'a'.repeat(64)]) writeFileSync(join(blobs, name), 'x')
  const open = openSync(join(cwd, 'open.wim.partial'), 'r')
  t.teardown(() => closeSync(open))
  const shown = await stowage(['prune', '.', 'layout', '--dry-run'], { cwd })
  t.match(shown.stdout, /open\.wim\.partial +13B +- +in use/)
  t.match(shown.stdout, /Would remove 0 directories and 7 files \(24B\)/)
  t.equal(readdirSync(cwd).length, 6)
  t.match(await prune([cwd, join(cwd, 'layout')]), { freed: 24 })
  t.same(readdirSync(join(cwd, 'layout')).sort(), ['blobs', 'oci-layout'])
  t.same(readdirSync(cwd).sort(), ['layout', 'open.wim.partial', 'report.partial'])
  t.same(readdirSync(blobs).sort(), [alive, 'a'.repeat(64)].sort())
})

t.test('stowage prune - removes the locks of dead runs, and nothing that only looks like one', async t => {
  const dead = `process ${deadProcess()} on ${hostname()}\n`
  const alive = `process ${process.pid} on ${hostname()}\n`
  const cwd = t.testdir({
    'dead.wim.lock': dead,
    'stowage-0123.lock': dead,
    '.stowage.lock': dead,
    'alive.wim.lock': alive,
    'images.lock': dead,
    'other.wim.lock': 'locked by another program\n',
  })
  const shown = await stowage(['prune', '.', '--dry-run'], { cwd })
  t.match(shown.stdout, /alive\.wim\.lock +0B +- +in use/)
  t.match(shown.stdout, /Would remove 0 directories and 3 files \(0B\)/)
  t.match(await prune([cwd]), { freed: 0 })
  t.same(readdirSync(cwd).sort(), ['alive.wim.lock', 'images.lock', 'other.wim.lock'])
})

t.test('a copy into a layout that succeeds takes away what dead runs left there', async t => {
  const cwd = t.testdir()
  await writeLayout(join(cwd, 'from'), { 'shop:1': await layeredImage(1) })
  const blobs = join(cwd, 'to', 'blobs', 'sha256')
  mkdirSync(blobs, { recursive: true })
  await left(cwd, 'killed', { process: deadProcess() })
  const machine = createHash('sha256').update(hostname()).digest('hex').slice(0, 8)
  const dead = `${'0'.repeat(64)}.${machine}-${deadProcess()}-1.partial`
  writeFileSync(join(blobs, dead), 'x')
  t.equal((await stowage(['copy', 'oci:from:none:1', 'oci:to'], { cwd })).code, 3)
  t.ok(readdirSync(blobs).includes(dead), 'but not one that fails: the same command may go on with it')
  t.match(await stowage(['copy', 'oci:from:shop:1', 'oci:to'], { cwd }), { code: 0 })
  t.notOk(readdirSync(blobs).some(name => name.endsWith('.partial')))
  t.same(readdirSync(cwd).sort(), ['from', 'to'])
})

t.test('a run that is killed leaves nothing that the next one does not clear', async t => {
  const cwd = t.testdir()
  const module = new URL('../../src/blob/workspace.ts', import.meta.url).href
  const script = `
    import { Workspace } from ${JSON.stringify(module)}
    await new Workspace(process.argv[1]).path()
    process.stdout.write('ready')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '--eval', script, join(cwd, 'x')])
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.equal(readdirSync(cwd).length, 1)
  {
    await using workspace = new Workspace(join(cwd, 'x'))
    await workspace.path()
    t.equal(readdirSync(cwd).length, 1)
  }
  t.same(readdirSync(cwd), [])
})
