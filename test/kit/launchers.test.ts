/** The shell script of a kit, in the shells that hosts have. A script that tells its arguments stands in for Node.js. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SHELL_LAUNCHER } from '../../src/kit/launchers.js'
import { scratch } from '../support/scratch.js'

const HERE = process.arch === 'arm64' ? 'linux-arm64' : 'linux-amd64'
const SHELLS = [['dash'], ['bash', '--posix'], ['bash'], ['busybox', 'sh']] as const

/** A kit whose directory has a space in its name, with Node.js for `platforms`. */
function kitOf(t: Test, ...platforms: readonly string[]): string {
  const kit = join(scratch(t), 'a kit')
  mkdirSync(join(kit, 'app/dist'), { recursive: true })
  writeFileSync(join(kit, 'stowage'), SHELL_LAUNCHER)
  for (const platform of platforms) {
    mkdirSync(join(kit, 'node', platform), { recursive: true })
    writeFileSync(join(kit, 'node', platform, 'node'), '#!/bin/sh\nprintf "<%s>" "$0" "$@"\nexit 7\n', { mode: 0o755 })
  }
  return kit
}

for (const [shell, ...options] of SHELLS) {
  const run = (script: string, words: readonly string[], more: { cwd?: string; env?: Record<string, string> } = {}) =>
    spawnSync(shell, [...options, script, ...words], {
      encoding: 'utf8',
      cwd: more.cwd,
      env: { PATH: '/usr/bin:/bin', HOME: '/root', ...more.env },
    })
  const name = [shell, ...options].join(' ')

  t.test(`${name}: the launcher runs what is beside it, with the arguments and the exit code`, t => {
    const kit = kitOf(t, HERE)
    const expected = `<${kit}/node/${HERE}/node><${kit}/app/dist/stowage.js><verify><a b><$x*>`
    t.match(run(join(kit, 'stowage'), ['verify', 'a b', '$x*']), { status: 7, stdout: expected })
    t.match(
      run('stowage', ['verify', 'a b', '$x*'], { cwd: kit }),
      { status: 7, stdout: expected },
      'from its directory',
    )
    t.match(run('../stowage', [], { cwd: join(kit, 'app') }), { status: 7, stdout: `<${kit}/app/dist/stowage.js>` })
    t.match(run(join(kit, 'stowage'), ['x'], { env: { STOWAGE_NODE: '/bin/echo' } }), {
      status: 0,
      stdout: `${kit}/app/dist/stowage.js x\n`,
    })
    t.end()
  })

  t.test(`${name}: a platform that the kit is not for is named, with those that it is for`, t => {
    const kit = kitOf(t, 'windows-amd64', 'linux-s390x')
    t.match(run(join(kit, 'stowage'), ['verify']), {
      status: 1,
      stdout: '',
      stderr: `stowage: this kit has no Node.js for ${HERE}; it has it for:\n  linux-s390x\n  windows-amd64\nhint: STOWAGE_NODE=`,
    })
    t.end()
  })

  t.test(`${name}: a medium that programs cannot be run from is named, with the command that runs a copy`, t => {
    const kit = kitOf(t, HERE)
    const refused = new RegExp(
      `^(?:.*\\n)?stowage: programs cannot be run from ${kit}: .*\\nhint: Copy the kit .*:\\n  (.*)\\n$`,
    )
    // Without modes, as on a stick that is mounted with showexec
    chmodSync(join(kit, 'node', HERE, 'node'), 0o644)
    const home = scratch(t)
    const { status, stderr } = run(join(kit, 'stowage'), ['verify'])
    t.equal(status, 1)
    const [, copy = ''] = refused.exec(stderr) ?? []
    const copied = spawnSync(shell, [...options, '-c', copy], {
      encoding: 'utf8',
      env: { PATH: '/usr/bin:/bin', HOME: home },
    })
    t.match(copied, { status: 7, stdout: `<${home}/stowage-kit/app/dist/stowage.js><--version>` }, copied.stderr)
    // On a file system that is mounted noexec, whatever the modes say
    chmodSync(join(kit, 'node', HERE, 'node'), 0o755)
    execFileSync('mount', ['--bind', kit, kit])
    t.teardown(() => execFileSync('umount', [kit]))
    execFileSync('mount', ['-o', 'remount,bind,noexec', kit])
    t.match(run(join(kit, 'stowage'), ['verify']), { status: 1, stdout: '', stderr: refused })
    t.end()
  })
}

t.test('a host without glibc is told to use its own Node.js', t => {
  const root = scratch(t)
  mkdirSync(join(root, 'bin'))
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'))
  cpSync(kitOf(t, HERE), join(root, 'kit'), { recursive: true })
  execFileSync('chroot', [root, '/bin/busybox', '--install', '/bin'])
  const { status, stderr } = spawnSync('chroot', [root, '/bin/sh', '/kit/stowage', 'verify'], { encoding: 'utf8' })
  t.match(
    { status, stderr },
    { status: 1, stderr: /needs glibc, and this host has none: \S+ is not there\.\nhint: .*STOWAGE_NODE=node/ },
  )
  t.end()
})
