/** Which file systems were mounted and no longer are, so that their files are not taken for files that never were. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/** The mount points that this process has seen; none on systems other than Linux. */
const seen = new Set<string>()

rememberMounts()

/** Adds what is mounted now to what {@link isUnmounted} knows: at the start, and whenever a medium is looked at. */
export function rememberMounts(): void {
  for (const { point } of mountTable()) seen.add(point)
}

/** Whether the file system that `path` was on is no longer mounted: its medium was pulled out, or it was unmounted. */
export function isUnmounted(path: string): boolean {
  try {
    const point = pointAbove(resolve(path))
    if (point === undefined || isOnItsOwn(point) || isMounted(point)) return false
    // Where there are files again, the directory serves as any other
    if (statSync(point, { throwIfNoEntry: false }) && readdirSync(point).length > 0) seen.delete(point)
    return seen.has(point)
  } catch {
    return false // it is there, but cannot be looked at
  }
}

function pointAbove(path: string): string | undefined {
  for (let at = path; at !== dirname(at); at = dirname(at)) if (seen.has(at)) return at
  return undefined
}

/** Whether a directory is on another file system than the one above it: quicker than the table, but blind to bind mounts. */
function isOnItsOwn(directory: string): boolean {
  const [own, above] = [directory, dirname(directory)].map(each => statSync(each, { throwIfNoEntry: false })?.dev)
  return own !== undefined && own !== above
}

function isMounted(point: string): boolean {
  const word = point.replace(/[ \t\n\\]/g, character => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`)
  return tableText().includes(` ${word} `)
}

/** A line of the table of mounts. */
export interface Mount {
  /** `major:minor`. */
  readonly device: string
  readonly point: string
  /** `ext4`, `fuseblk`, `fuse.sshfs` …. */
  readonly type: string
  /** A device, an image, an address on a network: what the file system chooses to tell. */
  readonly source: string
}

/** What is mounted, empty on systems other than Linux. Source: proc(5), mountinfo. */
export function mountTable(): readonly Mount[] {
  return tableText().split('\n').filter(Boolean).map(parseMount)
}

function tableText(): string {
  if (process.platform !== 'linux') return ''
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8')
  } catch {
    return '' // without /proc
  }
}

/** White space and backslashes are octal numbers there, of the bytes of UTF-8. */
function parseMount(line: string): Mount {
  const text = (word = ''): string => {
    if (!word.includes('\\')) return word
    return Buffer.from(
      Buffer.from(word)
        .toString('latin1')
        .replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
      'latin1',
    ).toString()
  }
  const [mount = '', about = ''] = line.split(' - ')
  const [, , device = '', , point] = mount.split(' ')
  const [type = '', source] = about.split(' ')
  return { device, point: text(point), type, source: text(source) }
}
