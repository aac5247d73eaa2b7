/**
 * docs/base-image-recipe.md, run from its first command to its last on an install.wim made by the tests, but for what needs
 * media, the network or a Windows host. `STOWAGE_WRITE_PAGES=1` writes what the commands print into the page instead.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { openDesk } from '../support/desk.js'
import { hideBytes, readPage, runPage } from '../support/page.js'
import { installWim, serverCoreWim } from '../support/windows-trees.js'
import { wimlib } from '../support/wims.js'

/** Why a block is not run; each reason is on the page once. */
const NOT_RUN = ['Windows media', 'a Windows host', 'the network']

t.test('the recipe does what it says, from the WIM to the bundle and back', async t => {
  const desk = openDesk(t)
  const { work } = desk
  t.teardown(() => void spawnSync('umount', [join(work, 'mnt')], { stdio: 'ignore' })) // if a step fails before it does
  copyFileSync(installWim(t), join(work, 'install.wim'))
  const theirs = await stowage(['copy', `wim:${serverCoreWim(t)}`, 'wim:theirs.wim'], { cwd: work })
  t.equal(theirs.code, 0, theirs.stderr)

  const page = readPage('docs/base-image-recipe.md')
  const reasons = [...page.matchAll(/^<!-- not run: needs (.*) -->$/gm)].map(([, reason]) => reason)
  t.same(
    reasons,
    NOT_RUN.toSorted((a, b) => page.indexOf(`needs ${a}`) - page.indexOf(`needs ${b}`)),
  )
  t.ok((await runPage(t, 'docs/base-image-recipe.md', desk.run, { settled: hideBytes })) > 15, 'there is much to run')
  const others = [...page.matchAll(/^\| `sources\/install\.(esd|swm)`.*`(stowage wim export .*)` \|$/gm)]
  t.equal(others.length, 2, 'other forms of the WIM')
  wimlib('export', join(work, 'install.wim'), 'all', join(work, 'install.esd'), '--solid')
  wimlib('split', join(work, 'install.wim'), join(work, 'install.swm'), '0.03')
  t.ok(existsSync(join(work, 'install2.swm')), 'in parts')
  for (const [, form = '', command = ''] of others) {
    const { code, output } = await desk.run({ command: command.replace('base.wim', `${form}.wim`) })
    t.equal(code, 0, `${command}: ${output}`)
    t.match(wimlib('info', join(work, `${form}.wim`)), /^Compression: +LZX$[^]*^Name: +WindowsServerCore$/m)
  }
})
