/**
 * Draws progress events on stderr: a bar on a terminal, a line every ten seconds elsewhere, or the events as NDJSON.
 */
import type { OnProgress, ProgressEvent } from '../progress.js'
import { jsonText } from './render.js'
import { Meter, retryText } from './meter.js'

export const PROGRESS_MODES = ['auto', 'tty', 'plain', 'json', 'none'] as const
export type ProgressMode = (typeof PROGRESS_MODES)[number]

export interface Progress {
  readonly onProgress: OnProgress
  /** Clears the progress display; it goes on with the next event, or a little later. */
  clear(): void
  /** Clears the progress display, which stays away until the next event. May be called repeatedly. */
  end(): void
}

type Output = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>

const LINE_MS = 10_000
const FRAME_MS = 100
/** How often a display is redrawn while no event comes, so that a wait is seen to be one. */
const TICK_MS = 500
/** Retries after a shorter wait are not worth a line of a log. */
const RETRY_MS = 500

/** `auto` draws a bar on a terminal that can move its cursor, and prints lines elsewhere. */
export function openProgress(mode: ProgressMode, output: Output, now: () => number = Date.now): Progress {
  switch (mode) {
    case 'none':
      return { onProgress: () => {}, clear: () => {}, end: () => {} }
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
    clear: flush,
    end: flush,
  }
}

/** A line for each retry that takes a while, but not for every request that waits for the same host. */
function lines(output: Output, now: () => number): Progress {
  const meter = new Meter(now)
  const ticker = new Ticker(() => line())
  const retried = new Map<string, number>()
  let last = now()
  const line = (): void => {
    if (now() - last < LINE_MS || !meter.busy) return
    last = now()
    output.write(`${meter.text()}\n`)
  }
  return {
    onProgress(event) {
      meter.take(event)
      ticker.start()
      if (event.type === 'retry') {
        if (event.wait < RETRY_MS || now() < (retried.get(event.subject) ?? 0)) return
        retried.set(event.subject, now() + event.wait)
        output.write(`${retryText(event, event.wait)}\n`)
      } else if (event.type !== 'done') line()
    },
    clear() {},
    end: () => ticker.stop(),
  }
}

function bar(output: Output, now: () => number): Progress {
  const meter = new Meter(now)
  const ticker = new Ticker(() => now() - last >= TICK_MS && meter.busy && draw())
  let [last, drawn] = [Number.NEGATIVE_INFINITY, false]
  const draw = (): void => {
    last = now()
    drawn = true
    output.write(`\r\u001b[K${meter.line((output.columns || 80) - 1)}`)
  }
  const clear = (): void => {
    if (drawn) output.write('\r\u001b[K')
    drawn = false
  }
  return {
    onProgress(event) {
      meter.take(event)
      ticker.start()
      if (!meter.busy) clear()
      else if (event.type !== 'bytes' || now() - last >= FRAME_MS) draw()
    },
    clear,
    end() {
      ticker.stop()
      clear()
    },
  }
}

/** Calls `tick` twice a second between `start` and `stop`, without keeping the process alive. */
class Ticker {
  readonly #tick: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(tick: () => void) {
    this.#tick = tick
  }

  start(): void {
    this.#timer ??= setInterval(this.#tick, TICK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
