/** Small file systems of a test's own, to be filled up. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, statfs, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A file system of `size` bytes, unmounted when the test ends. ext4 and xfs (from 300 MB on) are made in a file and loop-mounted. Needs root. */
export async function mount(t: Test, type: 'ext4' | 'xfs' | 'tmpfs', size: number): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'stowage-medium-'))
  const [file, directory] = [join(root, 'image'), join(root, 'medium')]
  await mkdir(directory)
  if (type === 'tmpfs') {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory])
  } else {
    await writeFile(file, '')
    await truncate(file, size)
    if (type === 'ext4') execFileSync('mkfs.ext4', ['-q', '-m', '0', file], { stdio: 'pipe' })
    else execFileSync('mkfs.xfs', ['-q', file], { stdio: 'pipe' })
    execFileSync('mount', ['-o', 'loop', file, directory])
  }
  t.teardown(async () => {
    execFileSync('umount', [directory])
    await rm(root, { recursive: true })
  })
  return directory
}

/** Bytes that still fit. */
export async function free(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}

export interface Stick {
  readonly directory: string
  /** Out of one machine, into another: what was not written to it is gone. */
  carry(): void
}

/** An exFAT file system of `size` bytes, as most sticks have, through FUSE; unplugged when the test ends. Needs root. */
export async function plugInStick(t: Test, size: number): Promise<Stick> {
  const root = await mkdtemp(join(tmpdir(), 'stowage-stick-'))
  const [file, directory] = [join(root, 'image'), join(root, 'stick')]
  await mkdir(directory)
  await writeFile(file, '')
  await truncate(file, size)
  execFileSync('mkfs.exfat', [file], { stdio: 'pipe' })
  let device = ''
  const plugIn = (): void => {
    device = execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim()
    execFileSync('mount.exfat-fuse', [device, directory], { stdio: 'pipe' })
  }
  const plugOut = (): void => {
    execFileSync('umount', [directory])
    execFileSync('losetup', ['--detach', device])
  }
  plugIn()
  t.teardown(async () => {
    plugOut()
    await rm(root, { recursive: true })
  })
  return {
    directory,
    carry: () => {
      plugOut()
      plugIn()
    },
  }
}
