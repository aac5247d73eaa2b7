/** What wimlib-imagex makes, and what Stowage makes, side by side. */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { incompressible } from '../../fixtures/make/bytes.js'
import { commandFile } from './command.js'

/**
 * The man page of a wimlib-imagex command as text; its options stand at the beginning of lines, indented by seven spaces.
 * Without man, or where it is left out of the installation, its source: with the options at the same place.
 */
export function manPage(command: string): string {
  const env = { ...process.env, MANWIDTH: '100', MAN_KEEP_FORMATTING: '' }
  const { status, stdout } = spawnSync('man', ['-P', 'cat', `wim${command}`], { encoding: 'utf8', env })
  if (status === 0 && stdout !== '') return stdout.replace(/.\u0008/g, '').replace(/‐\n\s*/g, '')
  const source = gunzipSync(readFileSync(`/usr/share/man/man1/wim${command}.1.gz`)).toString()
  return source.replace(/\\f./g, '').replace(/\\-/g, '-').replace(/^--/gm, '       --')
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface RunOptions {
  readonly cwd?: string
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
}

export interface RunResult {
  readonly code: number
  readonly stdout: Buffer
  readonly stderr: string
}

/** Runs `stowage wim` with these words, and this stdin. */
export async function stowageWim(
  words: readonly string[],
  { cwd, input = '', env }: RunOptions = {},
): Promise<RunResult> {
  return run(process.execPath, [commandFile(), 'wim', ...words], { cwd: cwd ?? ROOT, input, env: env ?? {} })
}

/** Runs `wimlib-imagex` with these words, and this stdin. */
export function imagex(words: readonly string[], { cwd, input = '', env }: RunOptions = {}): RunResult {
  return run('wimlib-imagex', words, { cwd: cwd ?? ROOT, input, env: env ?? {} })
}

function run(program: string, words: readonly string[], { cwd, input, env }: Required<RunOptions>): RunResult {
  const { NODE_OPTIONS: _loader, WIMLIB_IMAGEX_IGNORE_CASE: _case, ...inherited } = process.env
  const { status, stdout, stderr, error } = spawnSync(program, words, {
    cwd,
    input,
    env: { ...inherited, ...env },
    maxBuffer: 256 * 1024 * 1024,
  })
  if (error) throw error
  return { code: status ?? -1, stdout, stderr: stderr.toString() }
}

/**
 * All that wimlib-imagex tells of a WIM, but for what no two captures have in common: path, GUID and the times of the images.
 * Two WIMs of which it tells the same hold the same, in the same order, laid out in the same way.
 */
export function told(path: string, ...refs: readonly string[]): string {
  const without = /^(?:Path|GUID|Creation Time|Last Modification Time): .*\n/gm
  const info = imagex(['info', path])
  const count = Number(/^Image Count: +(\d+)/m.exec(String(info.stdout))?.[1])
  const dir = count === 0 ? '' : String(imagex(['dir', path, 'all', '--detailed', ...refs]).stdout)
  const verify = imagex(['verify', path, ...refs])
  return [String(info.stdout).replace(without, ''), dir, `verify: ${verify.code}`].join('\n')
}

/**
 * A tree that has something of everything that a directory on Linux has and a WIM can hold. Times of access are not before those
 * of change, so that the system leaves them alone when the files are read.
 */
export function sampleTree(directory: string): void {
  const file = (path: string, content: string | Uint8Array, mode = 0o644): void => {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    writeFileSync(join(directory, path), content, { mode })
  }
  file('readme.txt', 'Read me\n'.repeat(4000))
  file('empty', '')
  file('bin/tool', Buffer.from('#!/bin/sh\n'), 0o755)
  file('data/random.bin', incompressible('sample tree', 70_000))
  file('data/deep/er/still/zeros.bin', new Uint8Array(200_000))
  file('data/copy of readme', 'Read me\n'.repeat(4000))
  file('names/ünïcode 🐋.txt', 'whale')
  file("names/it's quoted", 'quote')
  file('names/Case', 'upper')
  file('names/case', 'lower')
  file('names/brackets[1]*?', 'pattern')
  file('names/-dash', 'dash')
  file(`names/${'long'.repeat(60)}`, 'long')
  file('pagefile.sys', 'Windows leaves this out')
  mkdirSync(join(directory, 'hollow'))
  linkSync(join(directory, 'readme.txt'), join(directory, 'data', 'hard link'))
  symlinkSync('../readme.txt', join(directory, 'data', 'relative'))
  symlinkSync(join(directory, 'bin', 'tool'), join(directory, 'data', 'inside'))
  symlinkSync('/nowhere/else', join(directory, 'data', 'outside'))
  execFileSync('setfattr', ['-n', 'user.note', '-v', 'kept', join(directory, 'bin', 'tool')])
  execFileSync('mkfifo', ['-m', '600', join(directory, 'data', 'pipe')])
  let second = 1_600_000_000
  for (const path of ['.', ...readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()]) {
    lutimesSync(join(directory, path), 4_000_000_000, (second += 7.25))
  }
}

export interface TreeOptions {
  /** Directories, too, have the times of the image, not those of their making. Default: yes. */
  readonly directoryTimes?: boolean
}

/** Every file of a tree: kind, mode, owner, size, time of change, target of a link, content, attributes, and who shares an inode. */
export function treeState(
  directory: string,
  { directoryTimes = true }: TreeOptions = {},
): Readonly<Record<string, unknown>> {
  const inodes = new Map<bigint, string>()
  const paths = ['.', ...readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()]
  return Object.fromEntries(
    paths.map(path => {
      const full = join(directory, path)
      const { mode, uid, gid, size, mtimeNs, ino, nlink } = lstatSync(full, { bigint: true })
      const kind = Number(mode) & 0o170000
      const first = nlink > 1n && kind !== 0o040000 ? inodes.get(ino) : undefined
      if (!inodes.has(ino)) inodes.set(ino, path)
      const attributes = execFileSync('getfattr', ['-h', '-d', '-m', '^user', '--absolute-names', full], {
        encoding: 'utf8',
      })
      return [
        path,
        {
          mode,
          uid,
          gid,
          linkOf: first,
          mtimeNs: kind === 0o040000 && !directoryTimes ? undefined : mtimeNs,
          size: kind === 0o100000 ? size : undefined,
          target: kind === 0o120000 ? readlinkSync(full).replace(directory, 'TREE') : undefined,
          sha1: kind === 0o100000 ? createHash('sha1').update(readFileSync(full)).digest('hex') : undefined,
          attributes: attributes.replace(/^# file:.*\n/m, ''),
        },
      ]
    }),
  )
}
