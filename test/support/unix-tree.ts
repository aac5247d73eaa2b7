/** Trees of all that Linux has, and what a file system says of them. Needs root. */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, linkSync, lutimesSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What `command` prints, which takes names as UTF-8 wherever it runs. */
export const run = (command: string, args: readonly string[], cwd?: string): string =>
  execFileSync(command, args, {
    encoding: 'utf8',
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  })

/** Everything that a file system says of a tree, as find and getfattr tell it. */
export function facts(tree: string): string {
  // No size of directories, which is the file system's own
  const listing = run(
    'find',
    ['.', '(', '-type', 'd', '-printf', '%p %M %U %G %T@\n', ')', '-o', '-printf', '%p %M %U %G %s %n %l %T@\n'],
    tree,
  )
  const devices = run(
    'find',
    ['.', '(', '-type', 'b', '-o', '-type', 'c', ')', '-exec', 'stat', '-c', '%n %t %T', '{}', '+'],
    tree,
  )
  const attributes = run('sh', ['-c', 'find . | sort | xargs -d "\\n" getfattr -h -d -m - -e hex'], tree)
  const sums = run('sh', ['-c', 'find . -type f | sort | xargs -d "\\n" sha256sum'], tree)
  return [listing.split('\n').sort().join('\n'), devices.split('\n').sort().join('\n'), attributes, sums].join(
    '\n---\n',
  )
}

/** A tree of all that Linux has and a WIM holds. */
export function makeTree(tree: string): void {
  mkdirSync(join(tree, 'dir/sub'), { recursive: true })
  for (const [name, target] of Object.entries({
    absolute: '/usr/bin/x',
    relative: '../rel/y',
    backslash: 'back\\slash',
    slash: '/',
    twice: 'a//b/',
    'dir/ünï': 'hé/🐋',
  }))
    symlinkSync(target, join(tree, name))
  for (const name of ['A', 'a', 'c:d', 'ends.', '*?"', 'b\\c', 'dir/sub/f'])
    writeFileSync(join(tree, name), `content of ${name}`)
  writeFileSync(join(tree, 'empty'), '')
  linkSync(join(tree, 'dir/sub/f'), join(tree, 'linked'))
  run('mkfifo', [join(tree, 'fifo')])
  run('mknod', [join(tree, 'cdev'), 'c', '10', '200'])
  run('mknod', [join(tree, 'bdev'), 'b', '259', '70000'])
  chownSync(join(tree, 'a'), 123_456_789, 3_000_000)
  chmodSync(join(tree, 'a'), 0o4711)
  chmodSync(join(tree, 'dir'), 0o1777)
  run('setfattr', ['-n', 'user.binary', '-v', '0x00ff0a3d', join(tree, 'a')])
  run('setfattr', ['-n', 'user.empty', join(tree, 'a')])
  run('setfattr', ['-n', 'trusted.of', '-v', 'dir', join(tree, 'dir')])
  lutimesSync(join(tree, 'A'), -1.5, -1_000_000_000.25)
  lutimesSync(join(tree, 'relative'), 1e9, 1e9 + 0.125)
}
