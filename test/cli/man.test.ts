import { spawnSync } from 'node:child_process'
import t from 'tap'
import { COMMANDS } from '../../src/cli/commands.js'
import { manualPage } from '../../src/cli/usage/man.js'
import { WIM_COMMANDS } from '../../src/cli/wim/commands.js'

t.test('manualPage() has every command and option, and groff has nothing to warn of', async t => {
  const input = await manualPage('2026-11-29')
  const { stdout, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-P-cbou', '-ww', '-rLL=400n'], {
    encoding: 'utf8',
    input,
  })
  t.equal(stderr, '')
  for (const name of Object.keys(WIM_COMMANDS)) t.ok(stdout.includes(`stowage wim ${name} [OPTIONS]`), name)
  for (const [name, entry] of Object.entries(COMMANDS)) {
    t.ok(stdout.includes(`stowage ${name}`), name)
    if ('commands' in entry) continue
    for (const [option, { hidden }] of Object.entries((await entry.load()).options ?? {}))
      if (!hidden) t.match(stdout, new RegExp(`--(\\[no-\\])?${option}\\b`), `${name} --${option}`)
  }
})
