import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { directoryEntry, fileEntry, goodLayer, makeTar } from '../support/layers.js'

const good = (): Buffer => makeTar(goodLayer())
const lacking = (): Buffer => makeTar(goodLayer().filter(({ name }) => !name.endsWith('/SAM')))

t.test('stowage layer check exits 0 for what a host takes and 1 for what it does not, and says why', async t => {
  const cwd = t.testdir({
    'good.tar': good(),
    'bad.tar': lacking(),
    'warn.tar': makeTar([...goodLayer(), { ...fileEntry('Files/x'), records: {} }]),
    'upper.tar': makeTar([directoryEntry('Files'), fileEntry('Files/x'), { name: 'Files/.wh.gone' }]),
    'cim.tar': makeTar([...goodLayer(), fileEntry('Files/x'), { name: 'Files/x:stream', content: 'stream' }]),
  })
  t.match(await stowage(['layer', 'check', 'good.tar'], { cwd }), {
    code: 0,
    stdout: `good.tar: OK (${goodLayer().length} entries read)\n`,
  })
  const bad = await stowage(['layer', 'check', 'good.tar', 'bad.tar'], { cwd })
  t.match(bad, {
    code: 1,
    stdout:
      /^refused {2}HIVE_MISSING: .+\n {2}Files\/Windows\/System32\/config\/SAM: it is missing\n(.*\n)*bad\.tar: a Windows host would reject it, 1 refused /m,
  })
  t.match(bad.stdout, /^good\.tar: OK/, 'in the order they were named')
  t.match(await stowage(['layer', 'check', 'warn.tar'], { cwd }), { code: 0, stdout: /OK, 3 doubtful/ })
  t.match(await stowage(['layer', 'check', 'warn.tar', '--strict'], { cwd }), { code: 1, stdout: /not OK, 3 doubtful/ })
  t.match(await stowage(['layer', 'check', 'cim.tar'], { cwd }), {
    code: 0,
    stdout: /^refused by CimFS {2}STREAM_CIM: .+\n.+\ncim\.tar: OK, 1 refused by CimFS \(/,
  })
  t.match(await stowage(['layer', 'check', 'cim.tar', '--strict'], { cwd }), {
    code: 1,
    stdout: /: not OK, 1 refused by/,
  })
  t.match(await stowage(['layer', 'check', 'upper.tar'], { cwd }), { code: 1, stdout: /^refused {2}HIVE_MISSING: /m })
  t.match(await stowage(['layer', 'check', 'upper.tar', '--not-base'], { cwd }), {
    code: 0,
    stdout: /^upper\.tar: OK \(/,
  })
  const { stdout } = await stowage(['layer', 'check', 'bad.tar', '--json'], { cwd })
  t.match(JSON.parse(stdout), {
    schema: 'stowage.layer-check/v1',
    ok: false,
    layers: [
      {
        path: 'bad.tar',
        ok: false,
        compression: 'none',
        findings: [
          {
            code: 'HIVE_MISSING',
            grade: 'refused',
            severity: 'error',
            count: 1,
            cases: [{ message: 'it is missing' }],
          },
        ],
      },
    ],
  })
})

t.test('stowage layer check, inspect and diff read a layer from a pipe', async t => {
  const cwd = t.testdir({ 'good.tar': good() })
  const digest = createHash('sha256').update(good()).digest('hex')
  for (const words of [
    ['check', '-'],
    ['inspect', '-', '--json'],
    ['diff', 'good.tar', '-'],
  ]) {
    const { code, stdout } = await stowage(['layer', ...words], { cwd, input: join(cwd, 'good.tar') })
    t.equal(code, 0, words.join(' '))
    if (words[0] === 'inspect')
      t.match(JSON.parse(stdout), { schema: 'stowage.layer-inspect/v1', digest: `sha256:${digest}` })
  }
  t.match(await stowage(['layer', 'check', '-', '-'], { cwd }), { code: 2, stderr: /read only once/ })
})

t.test('stowage layer inspect shows digests, counts and the largest files, and every entry when asked', async t => {
  const cwd = t.testdir({ 'good.tar': good(), 'empty.tar': Buffer.alloc(1024) })
  execFileSync('zstd', ['-q', 'good.tar'], { cwd })
  const { code, stdout } = await stowage(['layer', 'inspect', 'good.tar.zst', '--largest', '2'], { cwd })
  t.equal(code, 0)
  t.match(
    stdout,
    new RegExp(
      `^digest +sha256:${createHash('sha256')
        .update(readFileSync(join(cwd, 'good.tar.zst')))
        .digest('hex')}$`,
      'm',
    ),
  )
  t.match(stdout, /^compression +zstd$/m)
  t.match(stdout, /\nLARGEST\n8\.19kB .*\n8\.19kB .*\n\nPAX RECORD/)
  const listed = await stowage(['layer', 'inspect', 'good.tar', '--entries'], { cwd })
  t.match(listed.stdout, /^h 0644 0\/0 +0 0 +Files\/Windows\/link = Files\/attributes\.txt$/m)
  t.match(listed.stdout, /^l .* Files\/junction -> C:\\Windows$/m)
  const document = JSON.parse((await stowage(['layer', 'inspect', 'good.tar', '--entries', '--json'], { cwd })).stdout)
  t.equal(document.entries.length, goodLayer().length)
  t.match(document, {
    schema: 'stowage.layer-inspect/v1',
    path: 'good.tar',
    compression: 'none',
    counts: { entries: goodLayer().length },
  })
  const empty = await stowage(['layer', 'inspect', 'empty.tar', '--entries', '--json'], { cwd })
  t.match(JSON.parse(empty.stdout), { schema: 'stowage.layer-inspect/v1', entries: [], counts: { entries: 0 } })
  t.match(document.entries[4], {
    type: 'symlink',
    path: 'Files/junction',
    linkname: 'C:\\Windows',
    records: { 'MSWINDOWS.mountpoint': '1' },
  })
  t.match(await stowage(['layer', 'inspect', 'good.tar', '--largest', '-1'], { cwd }), { code: 2 })
})

t.test('stowage layer diff exits as diff(1) does', async t => {
  const changed = makeTar(
    goodLayer().map(entry =>
      entry.name === 'Files/attributes.txt' ? { ...entry, content: 'other', mtime: 7 } : entry,
    ),
  )
  const cwd = t.testdir({ 'a.tar': good(), 'b.tar': changed, 'c.tar': lacking() })
  t.match(await stowage(['layer', 'diff', 'a.tar', 'a.tar'], { cwd }), { code: 0, stdout: '' })
  t.match(await stowage(['layer', 'diff', 'a.tar', 'b.tar'], { cwd }), {
    code: 1,
    stdout: '! Files/Windows/link (content, times)\n! Files/attributes.txt (content, times)\n',
  })
  t.match(await stowage(['layer', 'diff', 'a.tar', 'c.tar'], { cwd }), {
    code: 1,
    stdout: '- Files/Windows/System32/config/SAM\n',
  })
  t.match(await stowage(['layer', 'diff', 'a.tar', 'b.tar', '--ignore', 'times', '--ignore', 'content'], { cwd }), {
    code: 0,
  })
  const { stdout } = await stowage(['layer', 'diff', 'a.tar', 'b.tar', '--json', '--ignore', 'content'], { cwd })
  t.match(JSON.parse(stdout), {
    schema: 'stowage.layer-diff/v1',
    same: false,
    ignored: ['content'],
    a: { path: 'a.tar' },
    added: [],
    changed: [{}, { path: 'Files/attributes.txt', fields: [{ field: 'times' }] }],
  })
  t.match(await stowage(['layer', 'diff', 'a.tar', 'b.tar', '--ignore', 'size'], { cwd }), { code: 2 })
})

t.test('stowage layer check, inspect and diff say what is wrong with what is not a layer', async t => {
  const cwd = t.testdir({
    'no.tar': 'x'.repeat(2000),
    'cut.tar': good().subarray(0, 20_000),
    'good.tar': good(),
    'system.wim': Buffer.concat([Buffer.from('MSWIM\0\0\0'), Buffer.alloc(2000)]),
    directory: {},
  })
  for (const words of [['check'], ['inspect'], ['diff', 'good.tar']]) {
    t.match(
      await stowage(['layer', ...words, 'no.tar'], { cwd }),
      {
        code: 4,
        stdout: '',
        stderr: /^stowage: no\.tar: .* not a tar, nor gzip or zstd\nhint: Name a layer: .+\n$/,
      },
      words.join(' '),
    )
    t.match(
      await stowage(['layer', ...words, 'system.wim'], { cwd }),
      {
        code: 1,
        stdout: '',
        stderr: /^stowage: system\.wim is a WIM file, not a layer\nhint: .+ with stowage layer from-wim\.\n$/,
      },
      words.join(' '),
    )
    t.match(await stowage(['layer', ...words, 'cut.tar'], { cwd }), { code: 4, stdout: '', stderr: /it ends within/ })
    t.match(await stowage(['layer', ...words, 'none.tar'], { cwd }), {
      code: 3,
      stdout: '',
      stderr: /none\.tar does not exist/,
    })
    t.match(await stowage(['layer', ...words, 'directory'], { cwd }), { code: 2, stdout: '' })
  }
})

t.test('stowage layer inspect stops at SIGINT while its input is silent', async t => {
  const cwd = t.testdir()
  execFileSync('mkfifo', ['fifo'], { cwd })
  const writer = spawn('sh', ['-c', 'exec 3>fifo; sleep 30'], { cwd, detached: true })
  t.teardown(() => process.kill(-writer.pid!, 'SIGTERM'))
  let sent = false
  const { code } = await stowage(['layer', 'inspect', '-', '--progress', 'json'], {
    cwd,
    input: join(cwd, 'fifo'),
    onStderr(child, text) {
      if (sent || !text.includes('"stage"')) return
      sent = true
      child.kill('SIGINT')
    },
  })
  t.equal(code, 130)
})

t.test('stowage layer inspect, check and diff print no control characters, whatever a layer has in it', async t => {
  const name = 'Files/a\u001b[31m\u009b32m\u007f'
  const cwd = t.testdir({
    'good.tar': good(),
    'bad.tar': makeTar([...goodLayer(), { ...fileEntry(name, 'x'.repeat(9000)), records: { 'A\u009bB\u001b': 'x' } }]),
    tree: {},
  })
  for (const words of [
    ['inspect', 'bad.tar'],
    ['inspect', 'bad.tar', '--entries'],
    ['check', 'bad.tar'],
    ['diff', 'good.tar', 'bad.tar'],
  ]) {
    for (const json of [[], ['--json']]) {
      const { stdout } = await stowage(['layer', ...words, ...json], { cwd })
      t.match(stdout, json.length > 0 ? 'a\\u001b[31m\\u009b32m\\u007f' : 'a\\x1b[31m\\x9b32m\\x7f', words.join(' '))
      t.notMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/, words.join(' '))
      if (json.length > 0) t.match(JSON.stringify(JSON.parse(stdout)), JSON.stringify(name).slice(1, -1))
    }
  }
  t.match(await stowage(['layer', 'inspect', 'tree'], { cwd }), { code: 2, stderr: /tree is a directory/ })
})
