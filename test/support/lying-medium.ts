/** Media that do not keep what is written to them, as bad sticks do. */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Test } from 'tap'

const MEBIBYTE = 1024 * 1024

export interface LyingMedium {
  /** Where it is mounted. */
  readonly directory: string
  /** From now on, it loses every fourth write, wherever that goes. */
  loseWrites(): void
  /** From now on, it takes 20 ms for each read. */
  slowDown(): void
  /** Out, and in again: what the system remembered is gone. Throws if it cannot be mounted any more. */
  replug(): void
}

interface Lie {
  /** Sizes in MiB: what it says, and what it has. */
  readonly claims: number
  readonly has: number
  /** What is written beyond is lost (`drop`) or overwrites what is at the start (`wrap`). */
  readonly beyond?: 'drop' | 'wrap'
  readonly type?: 'ext4' | 'exfat'
}

/** A file system on a disk that lies. Unplugged when the test ends. Needs root. */
export async function plugInLiar(t: Test, { claims, has, beyond = 'drop', type = 'ext4' }: Lie): Promise<LyingMedium> {
  const root = await mkdtemp(join(tmpdir(), 'stowage-liar-'))
  const [program, fuse, directory] = [join(root, 'lying-disk'), join(root, 'fuse'), join(root, 'medium')]
  await mkdir(fuse)
  await mkdir(directory)
  execFileSync('cc', ['-O1', '-o', program, join(import.meta.dirname, '..', 'faults', 'lying-disk.c')])
  const sizes = [claims, has].map(size => String(size * MEBIBYTE))
  const disk = spawn(program, [fuse, ...sizes, beyond], { stdio: ['ignore', 'inherit', 'inherit'] })
  const file = join(fuse, 'disk')
  while (!existsSync(file) && disk.exitCode === null) await setTimeout(10)
  const device = execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim()
  // The data of a file follows what describes it, and nothing is written later
  const ext4 = ['-q', '-b', '4096', '-m', '0', '-O', '^has_journal', '-E', 'lazy_itable_init=0']
  if (type === 'ext4') execFileSync('mkfs.ext4', [...ext4, device], { stdio: 'pipe' })
  else execFileSync('mkfs.exfat', [device], { stdio: 'pipe' })
  const plugIn = (): void => {
    if (type === 'ext4') execFileSync('mount', [device, directory], { stdio: 'pipe' })
    else execFileSync('mount.exfat-fuse', [device, directory], { stdio: 'pipe' })
  }
  const plugOut = (): void => {
    execFileSync('umount', [directory])
    execFileSync('blockdev', ['--flushbufs', device])
  }
  plugIn()
  t.teardown(async () => {
    try {
      plugOut()
    } catch {
      // it could not be mounted again
    }
    execFileSync('losetup', ['--detach', device])
    execFileSync('umount', [fuse])
    await rm(root, { recursive: true })
  })
  return {
    directory,
    loseWrites: () => void disk.kill('SIGUSR1'),
    slowDown: () => void disk.kill('SIGUSR2'),
    replug() {
      plugOut()
      plugIn()
    },
  }
}
