/** Owner of temporary files: host, boot, process and time, so that another run can tell whether the process is gone. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isAlive } from './lock.js'

export interface Owner {
  readonly host: string
  /** Changes with every boot of the host; empty if the system does not report it. */
  readonly boot: string
  readonly process: number
  /** When the process started, in the system's unit, because process IDs are reused. Empty if not reported. */
  readonly began: string
  /** RFC 3339: when the files were created. */
  readonly time: string
}

/** Whether the owner of files is still running, is gone, or cannot be determined. */
export type OwnerState = 'alive' | 'dead' | 'unknown'

export async function thisOwner(): Promise<Owner> {
  return {
    host: hostname(),
    boot: await bootId(),
    process: process.pid,
    began: await beginOf(process.pid),
    time: new Date().toISOString(),
  }
}

/** `unknown` for an owner on another host, whose processes cannot be seen from here. */
export async function stateOf(owner: Owner): Promise<OwnerState> {
  if (owner.host !== hostname()) return 'unknown'
  const boot = await bootId()
  if (owner.boot !== '' && boot !== '' && owner.boot !== boot) return 'dead'
  if (!isAlive(owner.process)) return 'dead'
  const began = await beginOf(owner.process)
  return owner.began !== '' && began !== '' && owner.began !== began ? 'dead' : 'alive'
}

export function formatOwner(owner: Owner): string {
  return `${JSON.stringify(owner)}\n`
}

/** Undefined if the text is not an owner: truncated, or written by another program. */
export function parseOwner(text: string): Owner | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { host, boot, process: id, began, time } = value as Readonly<Record<string, unknown>> // each is checked below
  const sound =
    typeof host === 'string' &&
    typeof boot === 'string' &&
    typeof id === 'number' &&
    typeof began === 'string' &&
    typeof time === 'string'
  return sound ? { host, boot, process: id, began, time } : undefined
}

/** Source: Linux, Documentation/admin-guide/sysctl/kernel.rst, "random". */
async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
}

/** Clock ticks after boot. Source: proc_pid_stat(5), field 22; the name in field 2 may contain spaces. */
export async function beginOf(id: number): Promise<string> {
  const text = await readFile(`/proc/${id}/stat`, 'utf8').catch(() => '')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

/** The files that the processes of this user have open; undefined if the system does not tell. Source: proc(5). */
export async function openFiles(): Promise<ReadonlySet<string> | undefined> {
  const processes = await readdir('/proc').catch(() => undefined)
  if (!processes?.includes('self')) return undefined
  const open = new Set<string>()
  for (const id of processes.filter(name => /^\d+$/.test(name))) {
    const directory = join('/proc', id, 'fd')
    for (const name of await readdir(directory).catch(() => []))
      open.add(await readlink(join(directory, name)).catch(() => ''))
  }
  return open
}
