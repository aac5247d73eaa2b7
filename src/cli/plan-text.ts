/** Prints what a dry run found: `--dry-run` of the commands that copy images. */
import type { OutputSize } from '../archive/output-size.js'
import type { Room } from '../archive/space.js'
import { parseLocation, transportOf } from '../transport/location.js'
import type { PlannedImage, TransferPlan } from '../transfer/planner.js'
import { exitCodeOf } from './exit-code.js'
import { familiarNames, shortDigest } from './image-names.js'
import { errorDocument, printError, reportFailures } from './print-error.js'
import { count, printable, table } from './render.js'
import { exactSize, formatSize } from '../size-text.js'
import type { Session } from './session.js'

/** Prints the plan; sets the exit code if an image would fail or there is not enough room. */
export function reportPlan(plan: TransferPlan, { report }: Session, verb: 'send' | 'pack' = 'send'): void {
  const text = `${table(PLAN_COLUMNS, plan.images.map(planRow))}${totalText(plan, verb)}`
  report({ schema: 'stowage.plan/v1', ...planDocument(plan) }, text)
  reportProblems(plan)
}

/** Reports images that would fail, and a lack of space, on stderr and in the exit code. */
export function reportProblems({ images, room }: TransferPlan): void {
  reportFailures(images, ({ names, location }) => familiarNames(names) || location)
  reportRoom(room)
}

/** Reports a lack of space on stderr and in the exit code. */
export function reportRoom(room: Room | undefined): void {
  if (!room?.error) return
  printError(room.error)
  process.exitCode ||= exitCodeOf('NO_SPACE')
}

/** The plan as a JSON document, without its schema. */
export function planDocument({ images, room, ...plan }: TransferPlan): Readonly<Record<string, unknown>> {
  const documents = images.map(({ request: _request, error, ...image }) => ({ ...image, ...errorDocument(error) }))
  return { ...plan, ...roomDocument(room), images: documents }
}

/** The room as it is in a JSON document, if there is one. */
export function roomDocument(found: Room | undefined): { readonly room?: Readonly<Record<string, unknown>> } {
  if (!found) return {}
  const { error, ...room } = found
  return { room: { ...room, ...errorDocument(error) } }
}

/** The columns of an image in a plan. */
export const PLAN_COLUMNS = ['NAME', 'PLATFORM', 'SIZE', 'DIGEST', 'SEND', 'PRESENT'] as const

export function planRow({ names, location, platforms, size, digest, send, present, estimate }: PlannedImage): string[] {
  const shown = (bytes: number | undefined): string =>
    bytes === undefined ? '-' : `${estimate ? '~' : ''}${formatSize(bytes)}`
  return [
    (names.length > 0 ? familiarNames(names) : location) ?? '-',
    platforms.join(', ') || '-',
    shown(size),
    digest === undefined ? '-' : shortDigest(digest),
    shown(send),
    shown(present),
  ]
}

/** The totals in a sentence, and the room in another. */
export function totalText(
  { images, to, send, present, exact, output, room, verify }: TransferPlan,
  verb: 'send' | 'pack',
): string {
  const unknown = images.filter(image => image.send === undefined && !image.error).length
  const amount = `${exact || images.every(({ estimate }) => !estimate) ? '' : 'about '}${formatSize(send)}`
  const more = unknown > 0 ? ` plus ${count(unknown, 'image')} of unknown size` : ''
  const title = to === undefined ? undefined : (transportOf(parseLocation(to)).title ?? to)
  const there = present > 0 ? `; ${formatSize(present)} is there already` : ''
  const into = title === undefined ? '' : ` ${verb === 'send' ? 'to' : 'into'} ${title}`
  const first = `Would ${verb} ${amount}${more}${into}${there}\n`
  return printable(
    [
      first,
      output ? outputText(output) : '',
      room && (room.needed > 0 || more) ? roomText(room, more) : '',
      verify ? READ_BACK_TEXT : '',
    ].join(''),
  )
}

/** `Makes a tar of 63.4kB (63412 bytes)`. */
function outputText({ form, size, largest, files, certainty, volumes, recovery }: OutputSize): string {
  const how = { exact: '', estimate: 'about ', 'at most': 'at most ', 'at least': 'at least ' }[certainty]
  const kind = {
    directory: `a directory of ${count(files, 'file')}, ${how}${exactSize(size)}; the largest file has ${how}${exactSize(largest)}`,
    tar: `a tar of ${how}${exactSize(size)}`,
    volumes: `${count(volumes?.count ?? 0, 'volume')} of up to ${exactSize(volumes?.size ?? 0)}, ${how}${exactSize(size)} in all`,
  }[form]
  const why = certainty === 'estimate' ? ', by an estimate' : ''
  return `Makes ${kind}${recovery === undefined ? '' : `, with ${formatSize(recovery)} of recovery data`}${why}\n`
}

export const READ_BACK_TEXT = 'Would read back what is written\n'

/** `more`: what else is needed, if its size is not known. */
export function roomText({ path, kind, needed, free, inodes, files }: Room, more = ''): string {
  const medium = kind === undefined ? path : `${path} (${kind})`
  const few = inodes !== undefined && inodes < files ? ` and room for ${count(inodes, 'more file')}` : ''
  return `Needs up to ${formatSize(needed)}${more} in ${medium}, which has ${formatSize(free)} free${few}\n`
}
