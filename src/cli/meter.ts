/** What is going on, from progress events, in one line: the work that moves, or whom it waits for. */
import type { ProgressEvent, RetryEvent, Stage } from '../progress.js'
import { formatSize } from '../size-text.js'
import { printable } from './render.js'

const BAR = 24
/** Milliseconds without bytes after which work counts as waiting, and after which it says so itself. */
const STILL_MS = 1000
const STALLED_MS = 3000
/** Milliseconds for which a retry is shown at least, if other work goes on meanwhile. */
const RETRY_SHOWN_MS = 1000
/** Characters of a subject that stay when the line is too short for all of it. */
const LEAST_SUBJECT = 8

/** Stages in which somebody else is waited for. They are shown while no other work moves. */
const WAITS: readonly Stage[] = ['connect', 'wait', 'send', 'lock']

interface Task {
  readonly stage: string
  readonly waits: boolean
  readonly done: number
  readonly total: number | undefined
  readonly start: number
  /** When bytes last came. */
  readonly moved: number | undefined
}

/** Tracks the stages that have begun and not ended, their bytes and rates, and the last retry. */
export class Meter {
  readonly #now: () => number
  /** By subject; the one that had an event last is at the end. */
  readonly #tasks = new Map<string, Task>()
  /** The stage that began last: bytes may come of a subject that has not named one. */
  #stage = ''
  #retry: { readonly event: RetryEvent; readonly since: number } | undefined

  constructor(now: () => number) {
    this.#now = now
  }

  take(event: ProgressEvent): void {
    const { subject } = event
    const known = this.#tasks.get(subject)
    switch (event.type) {
      case 'retry':
        this.#retry = { event, since: this.#now() }
        return
      case 'done':
        this.#tasks.delete(subject)
        return
      case 'stage':
        if (!WAITS.includes(event.stage)) this.#stage = event.stage
        this.#put(subject, {
          stage: event.stage,
          waits: WAITS.includes(event.stage),
          done: 0,
          total: undefined,
          start: this.#now(),
          moved: undefined,
        })
        return
      case 'bytes': {
        const task = known ?? { stage: this.#stage, waits: false, start: this.#now() }
        this.#put(subject, { ...task, done: event.done, total: event.total, moved: this.#now() })
      }
    }
  }

  /** Whether there is something to show. */
  get busy(): boolean {
    return this.#shown() !== undefined || this.#retryLeft() !== undefined
  }

  /** A line of a log. */
  text(): string {
    const retry = this.#retryLeft()
    if (retry) return retryText(retry.event, retry.left)
    const [subject, task] = this.#shown() ?? ['', undefined]
    if (!task) return ''
    const about = `${task.stage} ${oneLine(subject)}`
    if (task.moved === undefined) return `${about}: ${this.#elapsed(task.start)}`
    const of =
      task.total === undefined
        ? formatSize(task.done)
        : `${percent(task)}%, ${formatSize(task.done)} of ${formatSize(task.total)}`
    return `${about}: ${of}, ${this.#rate(task)}`
  }

  /** At most `width` characters. What helps least goes first: the bar, the end of the subject, the rate, the total. */
  line(width: number): string {
    const retry = this.#retryLeft()
    if (retry) return fitted(retryText(retry.event, retry.left), width)
    const [subject, task] = this.#shown() ?? ['', undefined]
    if (!task) return ''
    const stage = `${task.stage.padEnd(7)} `
    const shown = oneLine(subject)
    if (task.done === 0) {
      const waited = this.#now() - task.start >= STILL_MS ? ` ${this.#elapsed(task.start)}` : ''
      return `${stage}${fitted(shown, Math.max(width - stage.length - waited.length, LEAST_SUBJECT))}${waited}`.slice(
        0,
        width,
      )
    }
    const scale = task.total ? `${String(percent(task)).padStart(3)}% ` : ''
    const total = task.total === undefined ? '' : `/${formatSize(task.total)}`
    const [size, rate] = [formatSize(task.done), this.#rate(task)]
    const forms = [`${scale}${size}${total} ${rate}`, `${scale}${size}${total}`, `${scale}${size}`]
    const [full = ''] = forms
    const drawn = task.total ? `[${barOf(task)}] ` : ''
    const whole = `${stage}${shown} ${drawn}${full}`
    if (whole.length <= width) return whole
    for (const numbers of forms) {
      const room = width - stage.length - numbers.length - 1
      if (room >= Math.min(shown.length, LEAST_SUBJECT)) return `${stage}${fitted(shown, room)} ${numbers}`
    }
    return `${stage}${forms.at(-1) ?? ''}`.slice(0, width)
  }

  #put(subject: string, task: Task): void {
    this.#tasks.delete(subject) // so that it becomes the last
    this.#tasks.set(subject, task)
  }

  /** The last work that moves; else a check, which says more than what it waits for; else the last wait or work. */
  #shown(): readonly [subject: string, task: Task] | undefined {
    const all = [...this.#tasks].reverse()
    const moving = all.find(([, { moved }]) => moved !== undefined && this.#now() - moved < STILL_MS)
    return moving ?? all.find(([, { stage }]) => stage === 'prove') ?? all.find(([, { waits }]) => waits) ?? all[0]
  }

  /** The last retry while it is waited for, and for how long yet; not for long if other work moves. */
  #retryLeft(): { readonly event: RetryEvent; readonly left: number } | undefined {
    if (!this.#retry) return undefined
    const { event, since } = this.#retry
    const passed = this.#now() - since
    const moving = [...this.#tasks.values()].some(({ moved = Number.NEGATIVE_INFINITY }) => moved > since)
    if (passed >= (moving ? Math.min(event.wait, RETRY_SHOWN_MS) : event.wait)) return undefined
    return { event, left: event.wait - passed }
  }

  /** Bytes per second since the stage began; how long none have come if that is worth saying. */
  #rate({ start, done, moved = start, total }: Task): string {
    const still = this.#now() - moved
    if (still >= STALLED_MS && done !== total) return `nothing for ${Math.floor(still / 1000)} s`
    const seconds = (moved - start) / 1000
    return `${formatSize(seconds > 0 ? done / seconds : 0)}/s`
  }

  #elapsed(since: number): string {
    return `${Math.floor((this.#now() - since) / 1000)} s`
  }
}

/** `retry 2 of 5 in 3 s: REASON`, `left` milliseconds before it. */
export function retryText({ retry, retries, reason }: RetryEvent, left: number): string {
  const seconds = left < 950 ? (Math.max(left, 100) / 1000).toFixed(1) : String(Math.round(left / 1000))
  return `retry ${retry} of ${retries} in ${seconds} s: ${oneLine(reason)}`
}

function oneLine(text: string): string {
  return printable(text).replaceAll('\n', '\\n')
}

function percent({ done, total }: Task): number {
  return total ? Math.floor((done / total) * 100) : 100
}

function barOf({ done, total }: Task): string {
  const filled = total ? Math.floor((done / total) * BAR) : 0
  return `${'#'.repeat(filled)}${'-'.repeat(BAR - filled)}`
}

/** The text, or its beginning and an ellipsis, in `width` characters. */
function fitted(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(width - 1, 0))}…`
}
