/**
 * docs/base-image-recipe.md, run from its first command to its last on an install.wim made by the tests, but for what needs
 * media, the network or a Windows host. `STOWAGE_WRITE_RECIPE=1` writes what the commands print into the page instead.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { commandFile, stowage } from '../support/command.js'
import { scratch } from '../support/scratch.js'
import { installWim, serverCoreWim } from '../support/windows-trees.js'
import { wimlib } from '../support/wims.js'

const PAGE = fileURLToPath(new URL('../../docs/base-image-recipe.md', import.meta.url))
/** Why a block is not run; each reason is on the page once. */
const NOT_RUN = ['Windows media', 'a Windows host', 'the network']

interface Step {
  readonly command: string
  readonly output: string
}

/** The page as texts and steps, in their order. */
function parse(page: string): readonly (string | Step)[] {
  return page.split(/((?:<!-- not run: .*? -->\n)?```console\n[\s\S]*?```\n)/).flatMap((part): (string | Step)[] => {
    if (!part.startsWith('```console\n')) return [part]
    const steps = part
      .slice('```console\n'.length, -'```\n'.length)
      .split(/^(?=\$ )/m)
      .map((text): Step => {
        const [, command, output] = /^\$ (.*)\n([\s\S]*)$/.exec(text) ?? []
        if (command === undefined || output === undefined) throw new Error(`no step of the recipe: ${text}`)
        return { command, output }
      })
    return ['```console\n', ...steps, '```\n']
  })
}

/** What differs each time: digests, sizes of what is compressed, and the width of columns. */
function settled(output: string): string {
  return output
    .replace(/\b(sha256:)?[0-9a-f]{64}\b/g, 'DIGEST')
    .replace(/\b[0-9a-f]{12}\b/g, 'ID')
    .replace(/\b\d+((\.\d+)?[kMG]?B| bytes)\b/g, 'SIZE')
    .replace(/ +/g, ' ')
}

t.test('the recipe does what it says, from the WIM to the bundle and back', async t => {
  const root = scratch(t)
  const [bin, work] = [join(root, 'bin'), join(root, 'work')]
  for (const directory of [bin, work]) mkdirSync(directory)
  writeFileSync(join(bin, 'stowage'), `#!/bin/sh\nexec '${process.execPath}' '${commandFile()}' "$@"\n`)
  chmodSync(join(bin, 'stowage'), 0o755)
  t.teardown(() => void spawnSync('umount', [join(work, 'mnt')], { stdio: 'ignore' })) // if a step fails before it does
  copyFileSync(installWim(t), join(work, 'install.wim'))
  const theirs = await stowage(['copy', `wim:${serverCoreWim(t)}`, 'wim:theirs.wim'], { cwd: work })
  t.equal(theirs.code, 0, theirs.stderr)
  const { NODE_OPTIONS: _loader, ...inherited } = process.env
  const env = { ...inherited, PATH: `${bin}:${process.env['PATH'] ?? ''}`, COLUMNS: '200', LC_ALL: 'C.UTF-8' }

  const page = readFileSync(PAGE, 'utf8')
  const reasons = [...page.matchAll(/^<!-- not run: needs (.*) -->$/gm)].map(([, reason]) => reason)
  t.same(
    reasons,
    NOT_RUN.toSorted((a, b) => page.indexOf(`needs ${a}`) - page.indexOf(`needs ${b}`)),
  )
  const written: string[] = []
  for (const part of parse(page)) {
    if (typeof part === 'string') {
      written.push(part)
      continue
    }
    const { status, stdout } = spawnSync('bash', ['-o', 'pipefail', '-c', `{ ${part.command}\n} 2>&1`], {
      cwd: work,
      env,
      encoding: 'utf8',
    })
    t.equal(status, 0, part.command)
    written.push(`$ ${part.command}\n${stdout}`)
    if (process.env['STOWAGE_WRITE_RECIPE'] === undefined) t.equal(settled(stdout), settled(part.output), part.command)
  }
  const others = [...page.matchAll(/^\| `sources\/install\.(esd|swm)`.*`(stowage wim export .*)` \|$/gm)]
  t.equal(others.length, 2, 'other forms of the WIM')
  wimlib('export', join(work, 'install.wim'), 'all', join(work, 'install.esd'), '--solid')
  wimlib('split', join(work, 'install.wim'), join(work, 'install.swm'), '0.03')
  t.ok(existsSync(join(work, 'install2.swm')), 'in parts')
  for (const [, form = '', command = ''] of others) {
    const { status, stderr } = spawnSync('bash', ['-c', command.replace('base.wim', `${form}.wim`)], { cwd: work, env })
    t.equal(status, 0, `${command}: ${String(stderr)}`)
    t.match(wimlib('info', join(work, `${form}.wim`)), /^Compression: +LZX$[^]*^Name: +WindowsServerCore$/m)
  }
  t.ok(written.filter(part => part.startsWith('$ ')).length > 15, 'there is much to run')
  if (process.env['STOWAGE_WRITE_RECIPE'] !== undefined) writeFileSync(PAGE, written.join(''))
})
