/** Checks before writing whether the output fits on the medium. */
import { StowageError } from '../errors.js'
import { exactSize } from '../size-text.js'
import { FAT_FILE_LIMIT, type Medium, mediumAt } from './medium.js'

/** What is to be written. */
export interface Need {
  /** Sizes of the new files, in bytes. */
  readonly sizes: readonly number[]
  /** New directories; left out if no directory gets more than some new names. */
  readonly directories?: number | undefined
  /** Bytes of these files that are on the file system already. */
  readonly held?: number | undefined
  /** Set if the sizes are not exact. */
  readonly estimate?: boolean | undefined
}

/** What else would fit. */
export interface Advice {
  /** The output is a tar, which can be cut into volumes, or a directory, which could be a tar. */
  readonly form?: 'tar' | 'directory' | undefined
  /** Further ways, as the ends of a sentence that begins with "Free 3MB, or". */
  readonly ways?: readonly string[] | undefined
}

/** What a directory takes for the name of each file in it, in bytes: on FAT, long names need most. */
const DIRECTORY_ENTRY = 192

/** Space that is needed on a disk, in bytes. */
interface Demand {
  readonly needed: number
  readonly largest: number
  /** New files and directories. */
  readonly files: number
}

/** What `need` takes on `medium`: whole blocks. */
function demandOn({ block }: Pick<Medium, 'block'>, { sizes, directories, held = 0 }: Need): Demand {
  const blocks = (size: number): number => Math.ceil(size / block)
  const files = sizes.reduce((sum, size) => sum + blocks(size), 0)
  const names = directories === undefined ? 0 : directories + Math.floor((sizes.length * DIRECTORY_ENTRY) / block)
  return {
    needed: Math.max(files + names - Math.floor(held / block), 0) * block,
    largest: sizes.reduce((most, size) => Math.max(most, size), 0),
    files: sizes.length + (directories ?? 0),
  }
}

/**
 * Throws NO_SPACE if what is needed does not fit on the file system of `directory`, or if that cannot hold a file of
 * that size or so many files. What a file system does not tell is not checked.
 */
export async function checkSpace(directory: string, need: Need, advice: Advice = {}): Promise<void> {
  const error = spaceError(await mediumAt(directory), need, advice)
  if (error) throw error
}

function spaceError(medium: Medium, need: Need, advice: Advice): StowageError | undefined {
  const { path, free, largestFile, inodes, kind } = medium
  const { needed, largest, files } = demandOn(medium, need)
  if (free !== undefined && needed > free) return noRoom({ path, kind, needed, free }, advice, need.estimate)
  if (largestFile !== undefined && largest > largestFile) return tooLarge(medium, largest, advice)
  if (inodes === undefined || files <= inodes) return undefined
  return new StowageError(
    'NO_SPACE',
    `${on(path, kind)} can hold ${inodes} more files, but ${files} are needed: ${files - inodes} too many`,
    { hint: 'Write a tar (-o FILE.tar), which is one file, or delete files there.' },
  )
}

/** The error if there is too little room. */
export function noRoom(
  { path, kind, needed, free }: Pick<Room, 'path' | 'kind' | 'needed' | 'free'>,
  { form, ways = [] }: Advice = {},
  estimate = false,
): StowageError {
  const over = exactSize(needed - free)
  const amount = estimate ? `about ${exactSize(needed)} is needed, by an estimate` : `${exactSize(needed)} is needed`
  const message = `${on(path, kind)} has ${exactSize(free)} free, but ${amount}: ${over} too much`
  const volumes = {
    tar: ['or cut the tar into volumes for several media (--volume-size)'],
    directory: ['or pack a tar in volumes for several media (-o FILE.tar --volume-size SIZE)'],
  }
  const all = [`Free ${over}`, 'or write to another file system', ...(form ? volumes[form] : []), ...ways]
  return new StowageError('NO_SPACE', message, { hint: `${all.join(', ')}.` })
}

function tooLarge({ path, kind, largestFile = 0 }: Medium, largest: number, { form }: Advice): StowageError {
  const over = exactSize(largest - largestFile)
  const message = `${on(path, kind)} can hold files of at most ${exactSize(largestFile)}, but one of ${exactSize(largest)} is needed: ${over} too much`
  const another = kind === 'FAT32' ? 'Format the medium as exFAT' : 'Raise the limit (ulimit -f)'
  const size = volumeFor(largestFile)
  const volumes = {
    tar: `, or cut the tar into volumes: --volume-size ${size}`,
    directory: `, or pack a tar in volumes: -o FILE.tar --volume-size ${size}`,
  }
  return new StowageError('NO_SPACE', message, { hint: `${another}${form ? volumes[form] : ''}.` })
}

/** The largest `--volume-size` where files can have `limit` bytes. */
export function volumeFor(limit: number): string {
  return limit >= FAT_FILE_LIMIT ? 'fat32' : String(limit)
}

function on(path: string, kind: string | undefined): string {
  return kind === undefined ? path : `${path} (${kind})`
}

/** Space on a disk, in bytes. */
export interface Room {
  /** A directory on the file system. */
  readonly path: string
  /** What would be written, in whole blocks of the file system. */
  readonly needed: number
  readonly free: number
  /** The largest file that would be written. */
  readonly largest: number
  /** How many files and directories would be written. */
  readonly files: number
  /** The file system (`FAT32`, `exFAT`, `ext4` …) and its largest file, if the system tells. */
  readonly kind?: string | undefined
  readonly largestFile?: number
  /** How many files can still be created, if there is a limit. */
  readonly inodes?: number
  /** Whether it is on a stick, a card or another disk that can be pulled out, if the system tells. */
  readonly removable?: boolean
  /** NO_SPACE, if it does not fit. */
  readonly error?: StowageError
}

/**
 * The room for what is needed at `path`, which need not exist; undefined if the file system does not report its size.
 */
export async function roomAt(path: string, need: Need, advice: Advice = {}): Promise<Room | undefined> {
  const medium = await mediumAt(path)
  const { free, kind, largestFile, inodes, removable } = medium
  if (free === undefined) return undefined
  const error = spaceError(medium, need, advice)
  return {
    path: medium.path,
    free,
    ...demandOn(medium, need),
    ...(kind === undefined ? {} : { kind }),
    ...(largestFile === undefined ? {} : { largestFile }),
    ...(inodes === undefined ? {} : { inodes }),
    ...(removable === undefined ? {} : { removable }),
    ...(error ? { error } : {}),
  }
}
