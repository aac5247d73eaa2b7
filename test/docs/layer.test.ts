/** docs/layer.md: what its commands print is what they print here. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SAMPLE } from '../support/base-images.js'
import { openDesk } from '../support/desk.js'
import { hiveLayers } from '../support/hive-layers.js'
import { runPage } from '../support/page.js'
import { date } from '../support/samples.js'
import { flawedWim, wimlib } from '../support/wims.js'

t.test('docs/layer.md does what it says', async t => {
  const desk = openDesk(t)
  const at = (name: string): string => join(desk.work, name)
  for (const name of ['NanoServer.wim', 'base.wim', '2026-08.wim', '2026-09.wim']) copyFileSync(SAMPLE, at(name))
  copyFileSync(flawedWim(t, 'unknown-reparse'), at('unknown-reparse.wim'))

  // A later month of the same image: something is new, changed, and gone
  const changes = at('changes')
  mkdirSync(changes)
  writeFileSync(join(changes, 'win.ini'), '[fonts]\r\nchanged=1\r\n')
  writeFileSync(join(changes, 'patch.txt'), 'KB5031364\r\n')
  date(changes)
  const commands = [
    `add ${join(changes, 'win.ini')} /Windows/win.ini`,
    `add ${join(changes, 'patch.txt')} /Windows/patch.txt`,
    'delete /Users/Public/desktop.ini',
    'delete --recursive /Windows/WinSxS/amd64_commandprompt_31bf3856ad364e35_10.0.14300.1010',
  ]
  writeFileSync(at('changes.txt'), `${commands.join('\n')}\n`)
  await desk.prepare('wimlib-imagex update 2026-09.wim 1 < changes.txt')

  // Its files with a new one, where only the new one is in the WIM
  wimlib('apply', SAMPLE, '1', at('update'))
  writeFileSync(join(at('update'), 'patch.txt'), 'KB5031364\r\n')
  date(at('update'))
  wimlib('capture', at('update'), at('update.wim'), 'NanoServer', `--delta-from=${at('base.wim')}`)

  mkdirSync(at('rootfs/etc'), { recursive: true })
  writeFileSync(at('rootfs/etc/motd'), 'Welcome to the plant.\n')
  date(at('rootfs'))
  wimlib('capture', at('rootfs'), at('rootfs.wim'), '--unix-data')

  hiveLayers(desk.work)
  await desk.prepare(
    'gzip --no-name base.tar patch.tar application.tar',
    'stowage layer from-wim 2026-08.wim -o 2026-08.tar.gz',
    'stowage layer from-wim 2026-09.wim -o other.tar.zst --compression zstd',
  )
  await runPage(t, 'docs/layer.md', desk.run)
})
