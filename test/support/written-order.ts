/**
 * What a power cut would leave: the system calls of a command say what it had synced when it gave a file its name, and when
 * it ended. A file is safe once it is synced after its last write, a name once its directory is.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { commandFile } from './command.js'
import { type Scratch, scratch } from './scratch.js'

const CALLS = [
  ...['openat', 'creat', 'mkdir', 'mkdirat', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'link', 'linkat'],
  ...['write', 'pwrite64', 'writev', 'pwritev', 'pwritev2', 'ftruncate', 'truncate', 'fallocate', 'copy_file_range'],
  ...['fsync', 'fdatasync'],
]

interface Call {
  readonly name: string
  /** Paths of its descriptors, and those in quotes, in their order. */
  readonly paths: readonly string[]
  readonly text: string
}

/** Runs `stowage` under strace, and returns the lines of its calls that change a file system. */
export function traced(
  t: Scratch,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): readonly string[] {
  const output = join(scratch(t), 'trace')
  const strace = [
    '-f',
    '-y',
    '-s',
    '4096',
    '--seccomp-bpf',
    '-e',
    `trace=${CALLS.join(',')}`,
    '-e',
    'write=none',
    '-o',
    output,
  ]
  execFileSync('strace', [...strace, process.execPath, commandFile(), ...words], {
    env: { ...process.env, NODE_OPTIONS: '', UV_USE_IO_URING: '0', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  return readFileSync(output, 'latin1').split('\n')
}

/**
 * What is wrong with the order of the calls in `lines`, of those below `root`: a name that is given to a file, or a marker
 * that is removed, before everything that it vouches for is on the medium; what is not on the medium in the end.
 */
export function unsafe(lines: readonly string[], root: string): readonly string[] {
  const files = new Set<string>()
  const directories = new Set<string>()
  const wrong: string[] = []
  const counts = (path: string | undefined): path is string =>
    path !== undefined && path.startsWith(`${root}/`) && !/\.lock$|\/\.stowage-/.test(path)
  const entered = (path: string): void => void directories.add(dirname(path))
  for (const { name, paths, text } of calls(lines)) {
    const [first, second] = paths
    if (name === 'fsync' || name === 'fdatasync') {
      if (first === undefined) continue
      files.delete(first)
      directories.delete(first)
    } else if (name.startsWith('rename') || name.startsWith('link')) {
      if (!counts(first) || !counts(second)) continue
      if (files.has(first) && !second.endsWith('.partial')) wrong.push(`${second} gets its name before it is synced`)
      if (files.delete(first)) files.add(second)
      if (basename(second) === 'index.json') {
        const blobs = join(dirname(second), 'blobs')
        const inside = [...files, ...directories].filter(path => path === blobs || path.startsWith(`${blobs}/`))
        for (const path of inside) wrong.push(`${path} is not synced when ${second} gets its name`)
      }
      for (const path of [first, second]) entered(path)
    } else if (name.startsWith('unlink')) {
      if (!counts(first)) continue
      files.delete(first)
      if (basename(first) === 'INCOMPLETE') {
        const inside = [...files, ...directories].filter(
          path => path === dirname(first) || path.startsWith(`${dirname(first)}/`),
        )
        for (const path of inside) wrong.push(`${path} is not synced when ${first} is removed`)
      }
      if (!first.endsWith('.partial')) entered(first) // one that comes back does no harm
    } else if (name === 'openat' || name === 'creat' || name.startsWith('mkdir')) {
      const path = paths.at(name === 'openat' && paths.length > 1 ? -1 : 0)
      if (!counts(path) || (name === 'openat' && !text.includes('O_CREAT'))) continue
      entered(path)
      if (!name.startsWith('mkdir')) files.add(path)
    } else {
      const target = name === 'copy_file_range' ? second : first
      if (counts(target)) files.add(target)
    }
  }
  for (const path of [...files, ...directories])
    if (counts(path) || path === root) wrong.push(`${path} is never synced`)
  return wrong
}

/** The calls that succeeded. A write counts from its beginning, everything else from its end. */
function* calls(lines: readonly string[]): Iterable<Call> {
  const begun = new Map<string, string>()
  for (const line of lines) {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)
    if (text.endsWith('<unfinished ...>')) {
      const start = text.slice(0, -'<unfinished ...>'.length)
      begun.set(thread, start)
      const call = parse(start)
      if (call && isWrite(call.name)) yield call
      continue
    }
    const whole = resumed ? `${begun.get(thread) ?? ''}${resumed[1]}` : text
    if (resumed) begun.delete(thread)
    if (/ = -1 E[A-Z]+ /.test(whole)) continue
    const call = parse(whole)
    if (call) yield call
  }
}

function isWrite(name: string): boolean {
  return /write|truncate|fallocate|copy_file_range/.test(name)
}

function parse(text: string): Call | undefined {
  const name = /^(\w+)\(/.exec(text)?.[1]
  if (name === undefined) return undefined
  // The content of a write is no path
  const shown = isWrite(name) ? text.replace(/"(?:[^"\\]|\\.)*"(?:\.\.\.)?/g, '') : text
  const paths = [...shown.matchAll(/\d+<([^>]*)>|"((?:[^"\\]|\\.)*)"/g)].map(([, open, quoted]) => open ?? quoted ?? '')
  return { name, paths: paths.map(path => path.replace(/ \(deleted\)$/, '')), text }
}
