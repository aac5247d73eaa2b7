/** Volumes are put together by what every Windows has: `copy /b` of its command line, here that of Wine. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const root = scratch(t)
const env = { ...process.env, WINEPREFIX: join(root, 'wine'), WINEDEBUG: '-all', WINEDLLOVERRIDES: 'mscoree,mshtml=' }
execFileSync('wineboot', ['--init'], { env, stdio: 'ignore' })
t.teardown(() => void spawnSync('wineboot', ['--kill'], { env }))

t.test('volumes - copy /b of the Windows command line gives the tar that pack writes', async t => {
  const stick = scratch(t)
  await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(3, { size: 1_500_000 }) })
  for (const words of [
    ['-o', 'whole.tar'],
    ['-o', 'cut.tar', '--volume-size', '1MB'],
  ])
    t.match(await stowage(['pack', `oci:${root}/layout:shop:1`, ...words], { cwd: stick }), { code: 0 })
  const volumes = readdirSync(stick).filter(name => /\.tar\.\d+$/.test(name))
  t.ok(volumes.length > 2, volumes.join())
  const copied = spawnSync('wine', ['cmd', '/c', `copy /b ${volumes.sort().join('+')} joined.tar`], { cwd: stick, env })
  t.equal(copied.status, 0, String(copied.stderr))
  t.ok(readFileSync(join(stick, 'joined.tar')).equals(readFileSync(join(stick, 'whole.tar'))))
  t.match(await stowage(['verify', 'joined.tar'], { cwd: stick }), { code: 0 })
})
