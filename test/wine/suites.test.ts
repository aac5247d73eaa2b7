/** Tests of this repository that need no program of this machine, run by node.exe: what they promise holds on Windows, too. */
import { spawnSync } from 'node:child_process'
import { cpSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openWindows } from '../support/wine.js'

const ROOT = join(import.meta.dirname, '../..')
const FILES = ['test/layer/golden.test.ts', 'test/oci/reference.test.ts']

const windows = openWindows(t)
const place = join(windows.drive, 'checkout')

t.test('tests pass on Windows', { timeout: 480_000 }, async t => {
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const words = ['-p', ROOT, '--noEmit', 'false', '--outDir', place, '--incremental', 'false']
  const compiled = spawnSync(process.execPath, [compiler, ...words], { encoding: 'utf8' })
  t.equal(compiled.status, 0, compiled.stdout)
  for (const name of ['package.json', 'fixtures/nanoserver-sample.wim']) cpSync(join(ROOT, name), join(place, name))
  cpSync(join(ROOT, 'prebuilds/win32-x64'), join(place, 'prebuilds/win32-x64'), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(place, 'node_modules')) // which is a directory there
  for (const file of FILES) {
    const env = { TAP: '1', TAP_CHILD_ID: '1' }
    const { code, stdout, stderr } = await windows.node([file.replace(/ts$/, 'js')], { cwd: place, env })
    if (code !== 0) t.comment(stdout + stderr)
    t.equal(code, 0, file)
    const [, passed = '0'] = /^# \{ total: (\d+), pass: \1 \}/m.exec(stdout) ?? []
    t.ok(Number(passed) > 0 || /^1\.\.[1-9]/m.test(stdout), `${file}: something was tested`)
  }
})
