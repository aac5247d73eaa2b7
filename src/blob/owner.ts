/** Who owns temporary files: a host, its boot, a process and a time, so that another run can tell whether that process is gone. */
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { isAlive } from './lock.js'

export interface Owner {
  readonly host: string
  /** Changes with every start of the host; empty if the system does not tell. */
  readonly boot: string
  readonly process: number
  /** When the process began, in the system's own unit: another process may get its number. Empty where the system does not tell. */
  readonly began: string
  /** RFC 3339: when the files were made. */
  readonly time: string
}

/** What is to be thought of files that an owner left: it goes on writing, it is gone, or nobody here can tell. */
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

/** `unknown` for the owner of another host, whose processes cannot be seen from here. */
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

/** Undefined for what is not an owner: cut short, or written by something else. */
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

/** Clock ticks after the start of the system. Source: proc_pid_stat(5), field 22; the name before it may hold blanks. */
async function beginOf(id: number): Promise<string> {
  const text = await readFile(`/proc/${id}/stat`, 'utf8').catch(() => '')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}
