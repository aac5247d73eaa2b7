import t from 'tap'
import { openProgress, type ProgressMode } from '../../src/cli/progress.js'
import { printable, table } from '../../src/cli/render.js'
import { formatSize } from '../../src/size-text.js'
import type { ProgressEvent } from '../../src/progress.js'

/** What `mode` writes for `events`, each at its time in milliseconds. */
function drawn(
  mode: ProgressMode,
  events: readonly (readonly [number, ProgressEvent])[],
  terminal = false,
  columns = 60,
): string[] {
  const written: string[] = []
  let time = 0
  const output = { write: (text: string) => written.push(text) > 0, isTTY: terminal, columns }
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
  t.match(written[1], /^\r\u001b\[Kcopy +shop:1 +50% 50MB\/100MB 50MB\/s$/, 'the bar does not fit beside the numbers')
  t.ok(written.every(text => text.length <= 60 + 4))
  t.equal(written.at(-1), '\r\u001b[K')
})

t.test('on a narrow terminal the bar goes before the numbers, and the end of the name before the rate', async t => {
  const subject = 'registry.example:5000/team/frontend/shop:2.3'
  const at = (columns: number): string =>
    drawn(
      'tty',
      [
        [0, { ...start, subject }],
        [2000, { ...bytes(123_000_000, 456_000_000), subject }],
      ],
      true,
      columns,
    )[1]?.replace('\r\u001b[K', '') ?? ''
  t.equal(at(120), `copy    ${subject} [######------------------]  26% 123MB/456MB 61.5MB/s`)
  t.equal(at(80), `copy    ${subject}  26% 123MB/456MB 61.5MB/s`)
  t.equal(at(60), 'copy    registry.example:5000/te…  26% 123MB/456MB 61.5MB/s')
  t.equal(at(40), 'copy    registry.exam…  26% 123MB/456MB')
  t.equal(at(30), 'copy    registry.…  26% 123MB')
  for (const columns of [1, 10, 20, 30, 40, 60, 80, 120]) t.ok(at(columns).length < columns || columns === 1)
})

t.test('a wait is shown with its seconds while no work moves, and a retry until its time', async t => {
  const wait = { type: 'stage', stage: 'wait', subject: 'registry.example' } as const
  const retry = {
    type: 'retry',
    subject: 'registry.example',
    retry: 2,
    retries: 5,
    wait: 3000,
    reason: 'status 503',
  } as const
  const lines = drawn(
    'tty',
    [
      [0, start],
      [100, bytes(1000, 2000)],
      [400, wait],
      [2400, { ...wait, stage: 'send' }],
      [4500, { type: 'done', subject: 'registry.example' }],
      [4600, retry],
      [6700, { ...wait, stage: 'connect' }],
      [8000, bytes(1500, 2000)],
    ],
    true,
  ).map(line => line.replace('\r\u001b[K', ''))
  t.match(lines, [
    /^copy +shop:1$/,
    /50% 1kB/,
    /50% 1kB/, // bytes came 300 ms ago
    /^send +registry\.example$/,
    /^copy +shop:1 +50% 1kB\/2kB nothing for 4 s$/,
    /^retry 2 of 5 in 3 s: status 503$/,
    /^retry 2 of 5 in 0\.9 s: status 503$/,
    /75% 1\.5kB/,
  ])
})

t.test(
  'a log has a line for a retry that takes a while, one for all requests to a host, and for a long wait',
  async t => {
    const retry = {
      type: 'retry',
      subject: 'registry.example',
      retry: 3,
      retries: 5,
      wait: 800,
      reason: 'status 503',
    } as const
    t.same(
      drawn('plain', [
        [0, start],
        [10, { ...retry, retry: 1, wait: 200 }],
        [500, retry],
        [600, retry],
        [2000, { ...retry, retry: 4, wait: 1600 }],
        [10_500, { type: 'stage', stage: 'connect', subject: 'registry.example' }],
      ]),
      ['retry 3 of 5 in 0.8 s: status 503\n', 'retry 4 of 5 in 2 s: status 503\n', 'connect registry.example: 0 s\n'],
    )
  },
)

t.test('what a server says cannot control the terminal', async t => {
  const evil = 'a\u001b[2Jb\nc'
  const lines = drawn('tty', [
    [0, { ...start, subject: evil }],
    [1, { type: 'retry', subject: 'x', retry: 1, retries: 5, wait: 900, reason: evil }],
  ])
  for (const line of lines) t.notMatch(line.replace('\r\u001b[K', ''), /[\u001b\n]/)
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
