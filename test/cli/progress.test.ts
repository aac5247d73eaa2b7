import t from 'tap'
import { openProgress, type ProgressMode } from '../../src/cli/progress.js'
import { printable, table } from '../../src/cli/render.js'
import { formatSize } from '../../src/size-text.js'
import type { ProgressEvent } from '../../src/progress.js'

/** What `mode` writes for `events`, each at its time in milliseconds. */
function drawn(mode: ProgressMode, events: readonly (readonly [number, ProgressEvent])[], terminal = false): string[] {
  const written: string[] = []
  let time = 0
  const output = { write: (text: string) => written.push(text) > 0, isTTY: terminal, columns: 60 }
  const progress = openProgress(mode, output, () => time) // the three fields a renderer uses
  for (const [at, event] of events) {
    time = at
    progress.onProgress(event)
  }
  progress.end()
  return written
}

const bytes = (done: number, total?: number) => ({ type: 'bytes', subject: 'shop:1', done, total }) as const
const start = { type: 'stage', stage: 'copy', subject: 'shop:1' } as const

t.test('plain progress is at most a line in ten seconds, without carriage returns', async t => {
  const events = Array.from({ length: 300 }, (_, n) => [n * 100, bytes(n * 1_000_000, 300_000_000)] as const)
  const lines = drawn('plain', [[0, start], ...events])
  t.same(lines, ['copy shop:1: 33%, 100MB of 300MB, 10MB/s\n', 'copy shop:1: 66%, 200MB of 300MB, 10MB/s\n'])
  t.same(
    drawn('auto', [
      [0, start],
      [5, bytes(5, 5)],
    ]),
    [],
    'short work says nothing',
  )
})

t.test('a bar stays inside the terminal, and leaves nothing behind', async t => {
  const terminal = process.env['TERM']
  process.env['TERM'] = 'xterm'
  t.teardown(() => {
    if (terminal === undefined) delete process.env['TERM']
    else process.env['TERM'] = terminal
  })
  const written = drawn(
    'auto',
    [
      [0, start],
      [1000, bytes(50_000_000, 100_000_000)],
    ],
    true,
  )
  t.match(written[1], /^\r\u001b\[Kcopy +shop:1 \[#{12}-{12}\] +50% 50MB/)
  t.ok(written.every(text => text.length <= 60 + 4))
  t.equal(written.at(-1), '\r\u001b[K')
})

t.test('json progress is one event a line, the last of each subject among them', async t => {
  const events = Array.from({ length: 100 }, (_, n) => [n, bytes(n, 99)] as const)
  const lines = drawn('json', [[0, start], ...events, [100, { type: 'done', subject: 'shop:1' }]]).map(line =>
    JSON.parse(line),
  )
  t.same(lines, [start, bytes(0, 99), bytes(99, 99), { type: 'done', subject: 'shop:1' }])
})

t.test('no progress is no progress', async t => {
  t.same(
    drawn(
      'none',
      [
        [0, start],
        [60_000, bytes(1, 2)],
      ],
      true,
    ),
    [],
  )
})

t.test('formatSize() writes sizes as docker does', async t => {
  const sizes: [number, string][] = [
    [0, '0B'],
    [999, '999B'],
    [1000, '1kB'],
    [1_049_000, '1.05MB'],
    [63_413, '63.4kB'],
    [999_600, '1MB'],
    [4.2e9, '4.2GB'],
    [7e15, '7PB'],
  ]
  for (const [size, text] of sizes) t.equal(formatSize(size), text)
})

t.test('table() and printable() are safe for a terminal', async t => {
  t.equal(
    table(
      ['A', 'LONG'],
      [
        ['aaaa', 'b'],
        ['c', ''],
      ],
    ),
    'A      LONG\naaaa   b\nc\n',
  )
  t.equal(
    table(
      ['A', 'B'],
      [
        ['\u001b[2Jx', 'y'],
        ['c\nd', 'e'],
      ],
    ),
    'A          B\n\\x1b[2Jx   y\nc\\nd       e\n',
  )
  t.equal(printable('a\u001b[31mb\rc\nd'), 'a\\x1b[31mb\\x0dc\nd')
  t.equal(printable('Nano\u202egpj.exe\u2066é'), 'Nano\\u202egpj.exe\\u2066é')
})
