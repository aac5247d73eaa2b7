/** Files with recovery sets, and the par2 command that judges them. */
import { spawnSync } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Bytes without a pattern, the same for the same seed. */
export function bytesOf(seed: string, size: number): Buffer {
  const key = createHash('sha256').update(seed).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size))
}

/** Writes files of these sizes into `directory`. */
export function writeFiles(directory: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), bytesOf(name, size))
  }
}

/** Runs par2; its exit status is 0 for what is whole, 1 if a repair is possible and 2 if not. */
export function par2(directory: string, ...words: readonly string[]): number | null {
  return spawnSync('par2', [...words.slice(0, 1), '-q', '-q', ...words.slice(1)], { cwd: directory }).status
}

/** Overwrites bytes of a file. */
export async function overwrite(path: string, offset: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.write(bytes, 0, bytes.length, offset)
  } finally {
    await file.close()
  }
}

/** Inverts the byte at each offset. */
export async function flip(path: string, ...offsets: readonly number[]): Promise<void> {
  const bytes = await readFile(path)
  for (const offset of offsets) await overwrite(path, offset, Buffer.of(~(bytes[offset] ?? 0) & 0xff))
}
