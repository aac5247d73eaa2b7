/**
 * Draws progress events on stderr: a bar on a terminal, a line every ten seconds elsewhere, or the events as NDJSON.
 */
import type { OnProgress, ProgressEvent } from '../progress.js'
import { jsonText } from './render.js'
import { formatSize } from '../size-text.js'

export const PROGRESS_MODES = ['auto', 'tty', 'plain', 'json', 'none'] as const
export type ProgressMode = (typeof PROGRESS_MODES)[number]

export interface Progress {
  readonly onProgress: OnProgress
  /** Clears the progress display. May be called repeatedly. */
  end(): void
}

type Output = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>

const LINE_MS = 10_000
const FRAME_MS = 100
const BAR = 24

/** `auto` draws a bar on a terminal that can move its cursor, and prints lines elsewhere. */
export function openProgress(mode: ProgressMode, output: Output, now: () => number = Date.now): Progress {
  switch (mode) {
    case 'none':
      return { onProgress: () => {}, end: () => {} }
    case 'json':
      return ndjson(output, now)
    case 'plain':
      return lines(output, now)
    case 'tty':
      return bar(output, now)
    case 'auto':
      return output.isTTY && process.env['TERM'] !== 'dumb' ? bar(output, now) : lines(output, now)
  }
}

/** Writes every event as a line, but byte counts of one subject only ten times a second, and the last one. */
function ndjson(output: Output, now: () => number): Progress {
  let [last, waiting]: [number, ProgressEvent | undefined] = [Number.NEGATIVE_INFINITY, undefined]
  const write = (event: ProgressEvent) => output.write(`${jsonText(event)}\n`)
  const flush = () => {
    if (waiting) write(waiting)
    waiting = undefined
  }
  return {
    onProgress(event) {
      if (event.type === 'bytes' && now() - last < FRAME_MS) {
        waiting = event
        return
      }
      if (event.type === 'bytes') [last, waiting] = [now(), undefined]
      else flush()
      write(event)
    },
    end: flush,
  }
}

function lines(output: Output, now: () => number): Progress {
  const meter = new Meter(now)
  let last = now()
  return {
    onProgress(event) {
      meter.take(event)
      if (event.type === 'done' || now() - last < LINE_MS) return
      last = now()
      output.write(`${meter.text()}\n`)
    },
    end() {},
  }
}

function bar(output: Output, now: () => number): Progress {
  const meter = new Meter(now)
  let [last, drawn] = [Number.NEGATIVE_INFINITY, false]
  return {
    onProgress(event) {
      meter.take(event)
      if (event.type === 'bytes' && now() - last < FRAME_MS) return
      last = now()
      drawn = true
      output.write(`\r\u001b[K${meter.line((output.columns || 80) - 1)}`)
    },
    end() {
      if (drawn) output.write('\r\u001b[K')
      drawn = false
    },
  }
}

/** Tracks the current stage, its subject, the bytes done and the rate. */
class Meter {
  readonly #now: () => number
  #stage = ''
  #subject = ''
  #done = 0
  #total: number | undefined
  #start = 0

  constructor(now: () => number) {
    this.#now = now
    this.#start = now()
  }

  take(event: ProgressEvent): void {
    if (event.subject !== this.#subject || event.type === 'stage') {
      ;[this.#subject, this.#done, this.#total, this.#start] = [event.subject, 0, undefined, this.#now()]
    }
    if (event.type === 'stage') this.#stage = event.stage
    if (event.type === 'bytes') [this.#done, this.#total] = [event.done, event.total]
  }

  text(): string {
    const of =
      this.#total === undefined
        ? formatSize(this.#done)
        : `${this.#percent()}%, ${formatSize(this.#done)} of ${formatSize(this.#total)}`
    return `${this.#stage} ${this.#subject}: ${of}, ${this.#rate()}`
  }

  line(width: number): string {
    const filled = this.#total ? Math.floor((this.#done / this.#total) * BAR) : 0
    const scale = this.#total
      ? `[${'#'.repeat(filled)}${'-'.repeat(BAR - filled)}] ${String(this.#percent()).padStart(3)}% `
      : ''
    const total = this.#total === undefined ? '' : `/${formatSize(this.#total)}`
    const numbers = this.#done === 0 ? '' : `${scale}${formatSize(this.#done)}${total} ${this.#rate()}`
    return `${this.#stage.padEnd(7)} ${this.#subject} ${numbers}`.slice(0, Math.max(width, 1))
  }

  #percent(): number {
    return this.#total ? Math.floor((this.#done / this.#total) * 100) : 100
  }

  #rate(): string {
    const seconds = (this.#now() - this.#start) / 1000
    return `${formatSize(seconds > 0 ? this.#done / seconds : 0)}/s`
  }
}
