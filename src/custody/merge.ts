/** Merges the logs of several sites into one: every line as it was, in the order of time. */
import { writeDurably } from '../blob/durable.js'
import { StowageError } from '../errors.js'
import { type LogReport, logLines, verifyLog } from './check.js'
import { parseEntry } from './entry.js'

/** An entry, with the line that was cut short before it. */
interface Kept {
  readonly log: string
  readonly seq: number
  readonly time: string
  readonly bytes: readonly Buffer[]
}

/**
 * Writes the entries of the logs `paths` to `output`; what is in several of them, once. Each log keeps its chain, so that
 * `verifyLog()` checks the result like the logs. Throws LOG_INVALID for a log with findings, and for two that tell the
 * same number of a log differently.
 */
export async function mergeLogs(paths: readonly string[], output: string): Promise<LogReport> {
  const logs = new Map<string, Map<number, Kept>>()
  for (const path of paths) {
    const { findings } = await verifyLog(path)
    const [first] = findings
    if (first)
      throw new StowageError('LOG_INVALID', `${path}:${first.line}: ${first.message}`, {
        hint: `"stowage log verify ${path}" lists everything. Get the log from its site again.`,
      })
    for await (const kept of entriesOf(path)) {
      const entries = logs.get(kept.log) ?? new Map<number, Kept>()
      logs.set(kept.log, entries)
      const known = entries.get(kept.seq)
      if (known && !Buffer.concat(known.bytes).equals(Buffer.concat(kept.bytes)))
        throw new StowageError('LOG_INVALID', `${path}: entry ${kept.seq} is another one than in the logs before`, {
          hint: 'Two logs began as one, and were then written to separately: one of them is a copy that should not go on.',
        })
      entries.set(kept.seq, kept)
    }
  }
  const lines = byTime([...logs.values()].map(entries => [...entries.values()].sort((a, b) => a.seq - b.seq)))
  await writeDurably(
    output,
    Buffer.concat(lines.flatMap(({ bytes }) => bytes.flatMap(line => [line, Buffer.from('\n')]))),
  )
  return await verifyLog(output)
}

/** Those of each log in their order, whatever the clock of its host said. */
function byTime(logs: readonly (readonly Kept[])[]): readonly Kept[] {
  const left = logs.map(entries => [...entries])
  const merged: Kept[] = []
  for (;;) {
    const [next] = left.filter(entries => entries.length > 0).sort(([a], [b]) => compareTimes(a, b))
    const entry = next?.shift()
    if (!entry) return merged
    merged.push(entry)
  }
}

function compareTimes(a: Kept | undefined, b: Kept | undefined): number {
  return (a?.time ?? '') < (b?.time ?? '') ? -1 : 1
}

async function* entriesOf(path: string): AsyncGenerator<Kept> {
  let torn: Buffer[] = []
  for await (const { bytes } of logLines(path)) {
    try {
      const { log, seq, time } = parseEntry(bytes, path)
      yield { log, seq, time, bytes: [...torn, bytes] }
      torn = []
    } catch (error) {
      if (!(error instanceof StowageError)) throw error
      torn = [bytes] // which the next entry says, as the log was verified
    }
  }
}
