/** What the system does to Stowage on Windows, run by Wine: locks, files that are open elsewhere, Ctrl-C, hints. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { startServer } from '../support/registry.js'
import { scratch } from '../support/scratch.js'
import { onDrive, openWindows, windowsPath } from '../support/wine.js'

const windows = openWindows(t, 22)
const layout = join(scratch(t), 'layout')
const names = ['one', 'two', 'three', 'four']
await writeLayout(
  layout,
  Object.fromEntries(
    await Promise.all(names.map(async seed => [`${seed}:1`, await layeredImage(2, { seed })] as const)),
  ),
)
const image = (name: string): string => `oci:${windowsPath(layout)}:${name}:1`

t.test('processes that write to one layout at a time lose nothing', async t => {
  const { here, there } = onDrive(windows, 'together')
  const all = await Promise.all(names.map(name => windows.stowage(['copy', image(name), `oci:${there}\\store`])))
  for (const { code, stderr } of all) t.equal(code, 0, stderr)
  const { stdout } = await stowage(['images', '--json', '--store', `oci:${join(here, 'store')}`])
  for (const name of names) t.match(stdout, new RegExp(`[/"]${name}:1"`))
  t.same(
    readdirSync(join(here, 'store'), { recursive: true, encoding: 'utf8' }).filter(name => /lock|partial/.test(name)),
    [],
    'and leave nothing',
  )
})

t.test('a lock that a killed process left is taken over, and that of a running one is not', async t => {
  const { here, there } = onDrive(windows, 'left')
  t.match(await windows.stowage(['copy', image('one'), `oci:${there}\\store`]), { code: 0 })
  const lock = readdirSync(join(here, 'store')).find(name => name.includes('lock')) ?? 'index.json.lock'
  const script = `require('fs').writeFileSync(${JSON.stringify(`${there}\\store\\${lock}`)}, 'process ' + process.pid + ' on ' + require('os').hostname() + '\\n');console.log('held')`
  t.match(await windows.node(['-e', script]), { code: 0 })
  const began = Date.now()
  t.match(await windows.stowage(['copy', image('two'), `oci:${there}\\store`]), { code: 0 })
  t.ok(Date.now() - began < 30_000, 'without waiting until it is stale')

  const holder = windows.start([
    '-e',
    `${script};setTimeout(() => require('fs').rmSync(${JSON.stringify(`${there}\\store\\${lock}`)}), 4000)`,
  ])
  await holder.said(/held/)
  t.match(await windows.stowage(['copy', image('three'), `oci:${there}\\store`]), { code: 0 })
  t.match(await holder.ended, { code: 0 }, 'the lock was there until its holder removed it')
})

t.test('a file that another program has open for a moment is replaced when it is closed', async t => {
  const { here, there } = onDrive(windows, 'open')
  t.match(await windows.stowage(['copy', image('one'), `oci:${there}\\store`]), { code: 0 })
  const index = JSON.stringify(`${there}\\store\\index.json`)
  const open = (ms: number) =>
    windows.start([
      '-e',
      `const fd = require('fs').openSync(${index}); console.log('open'); setTimeout(() => {}, ${ms})`,
    ])
  const scanner = open(3000)
  await scanner.said(/open/)
  const copied = await windows.stowage(['copy', image('two'), `oci:${there}\\store`])
  t.equal(copied.code, 0, copied.stderr)
  t.match(readFileSync(join(here, 'store', 'index.json'), 'utf8'), /two/)

  const editor = open(60_000)
  await editor.said(/open/)
  const refused = await windows.stowage(['copy', image('three'), `oci:${there}\\store`])
  t.match(refused, { code: 1, stderr: /close the program that has it open/ })
  t.notMatch(readFileSync(join(here, 'store', 'index.json'), 'utf8'), /three/)
})

t.test('Ctrl-C ends a command in an orderly way: exit code 130, nothing left', async t => {
  const { here, there } = onDrive(windows, 'interrupted')
  execFileSync('x86_64-w64-mingw32-gcc-posix', [
    '-O1',
    '-municode',
    '-o',
    join(here, 'ctrl-c.exe'),
    join(import.meta.dirname, 'ctrl-c.c'),
  ])
  const domain = await startServer(t, () => undefined) // never answers
  const { nodeFile, command } = windows
  const words = [
    'C:\\interrupted\\ctrl-c.exe',
    '5000',
    `"${nodeFile}" ${command} pack docker://${domain}/shop:1 -o ${there}\\bundle --insecure ${domain}`,
  ]
  const ended = await windows.program(words, { console: true }).ended
  t.equal(ended.code, 130, ended.stdout + ended.stderr)
  t.notOk(existsSync(join(here, 'bundle')))
  t.same(readdirSync(here), ['ctrl-c.exe'])
})

t.test('hints are those of Windows', async t => {
  const { here, there } = onDrive(windows, 'hints')
  writeFileSync(join(here, 'file'), '')
  const engine = await windows.stowage(['images'], { env: { DOCKER_HOST: 'npipe:////./pipe/nobody' } })
  t.match(engine, { code: 6, stderr: /npipe:\/\/\/\/\.\/pipe\/nobody/ })
  const capture = await windows.stowage(['wim', 'capture', there, `${there}\\x.wim`])
  t.match(capture, { stderr: /libwim-15\.dll/ })
  t.not(capture.code, 0)
  const mount = await windows.stowage(['wim', 'mount', 'x.wim', '1', there])
  t.not(mount.code, 0)
  for (const { stderr } of [engine, capture, mount])
    t.notMatch(stderr, /apt-get|sudo|\/var\/run|\/etc\/|fusermount|as root/, stderr)
})

t.test('tables are plain text, with line feeds only, and names of any script', async t => {
  const { here, there } = onDrive(windows, 'Größe 大')
  const packed = await windows.stowage(['pack', image('one'), '-o', `${there}\\bündel.tar`])
  t.equal(packed.code, 0, packed.stderr)
  t.match(packed.stdout, `${there}\\bündel.tar`)
  t.notMatch(packed.stdout + packed.stderr, /\r|\x1b/)
  t.ok(existsSync(join(here, 'bündel.tar')))
})
