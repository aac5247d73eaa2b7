/** Logs of what was done: every change of one shows, save that its end was cut off, which a head shows. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { verifyLog } from '../../src/custody/check.js'
import { LINE_LIMIT } from '../../src/custody/entry.js'
import { appendLog, expectLog, type LogHead } from '../../src/custody/log-file.js'
import { mergeLogs } from '../../src/custody/merge.js'
import type { Digest } from '../../src/oci/digest.js'
import { generateKeys } from '../../src/verbs/keygen.js'
import { readPrivateKey } from '../../src/signature/private-key.js'
import { readPublicKey } from '../../src/signature/public-key.js'

const entry = {
  command: 'verify',
  result: 'ok',
  bundle: { path: 'site-a', digest: `sha256:${'a'.repeat(64)}` },
} as const

async function makeLog(t: Test, entries = 5): Promise<{ readonly path: string; readonly heads: readonly LogHead[] }> {
  const path = join(t.testdir(), 'log.jsonl')
  const heads: LogHead[] = []
  for (let n = 0; n < entries; n += 1) heads.push(await appendLog(path, { ...entry, message: `${n}` }))
  return { path, heads }
}

const linesIn = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1)
const sha256 = (text: string): string =>
  `sha256:${execFileSync('sha256sum', { input: text, encoding: 'utf8' }).slice(0, 64)}`

t.test('each entry names the line before, as sha256sum says, and the head is the hash of the last', async t => {
  const { path, heads } = await makeLog(t)
  const lines = linesIn(path)
  t.equal(lines.length, 5)
  for (const [n, line] of lines.entries()) {
    const { seq, previous } = JSON.parse(line)
    t.equal(seq, n + 1)
    t.equal(previous, n === 0 ? null : sha256(lines[n - 1]!))
    t.equal(heads[n]!.head, sha256(line))
  }
  t.match(await verifyLog(path), { ok: true, entries: 5, logs: [{ seq: 5, head: heads[4]!.head }], findings: [] })
})

t.test('any changed byte, and any line taken out, put in or moved, is found', async t => {
  const { path } = await makeLog(t)
  const good = readFileSync(path)
  const lines = linesIn(path)
  const bad = async (bytes: Buffer | string): Promise<boolean> => {
    writeFileSync(path, bytes)
    return !(await verifyLog(path)).ok
  }
  // The last line is bound by the head alone
  const last = good.length - lines[4]!.length - 1
  await fc.assert(
    fc.asyncProperty(fc.nat(last - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const bytes = Buffer.from(good)
      bytes[at] = bytes[at]! ^ change
      return await bad(bytes)
    }),
    { numRuns: 500 },
  )
  for (let n = 0; n < 4; n += 1) {
    t.ok(await bad(`${lines.toSpliced(n, 1).join('\n')}\n`), `without line ${n + 1}`)
    t.ok(await bad(`${lines.toSpliced(n, 0, lines[n]!).join('\n')}\n`), `line ${n + 1} twice`)
    t.ok(
      await bad(`${lines.toSpliced(n, 2, lines[n + 1]!, lines[n]!).join('\n')}\n`),
      `lines ${n + 1}, ${n + 2} swapped`,
    )
  }
  writeFileSync(path, `${lines.toSpliced(1, 1, lines[1]!.replace('"ok"', '"OK"')).join('\n')}\n`)
  t.match((await verifyLog(path)).findings, [{ line: 3, message: /the line before it was changed/ }])
})

t.test('an end that was cut off shows only against a head', async t => {
  const { path, heads } = await makeLog(t)
  const [first, second] = linesIn(path)
  writeFileSync(path, `${first}\n${second}\n`)
  t.match(await verifyLog(path), { ok: true, entries: 2 })
  t.match(await verifyLog(path, { heads: [heads[1]!.head] }), { ok: true })
  t.match(await verifyLog(path, { heads: [heads[3]!.head] }), { ok: false, findings: [{ message: /was cut off/ }] })
})

t.test('signed entries hold for their key, by openssl too, and for no other; unsigned ones do not', async t => {
  const { path } = await makeLog(t, 1)
  const directory = join(path, '..')
  const [own, other] = [join(directory, 'own'), join(directory, 'other')]
  for (const name of [own, other]) await generateKeys(name, { passphrase: '' })
  const signer = await readPrivateKey(`${own}.key`)
  const keys = [await readPublicKey(`${own}.pub`)]
  const log = join(directory, 'signed.jsonl')
  for (let n = 0; n < 3; n += 1) await appendLog(log, { ...entry, message: '","signature":{"keyId":"' }, signer)
  t.match(await verifyLog(log, { keys }), { ok: true, entries: 3 })
  const [line = ''] = linesIn(log)
  writeFileSync(join(directory, 'entry'), line.replace(/,"signature":\{[^}]*\}\}$/, '}'))
  writeFileSync(join(directory, 'sig'), Buffer.from(JSON.parse(line).signature.value, 'base64'))
  t.match(
    execFileSync('openssl', ['dgst', '-sha256', '-verify', 'own.pub', '-signature', 'sig', 'entry'], {
      cwd: directory,
    }),
    /Verified OK/,
  )
  t.match(await verifyLog(log, { keys: [await readPublicKey(`${other}.pub`)] }), {
    findings: [{ line: 1, message: /signed by key [0-9a-f]{64}, which was not given/ }, {}, {}],
  })
  const lines = linesIn(log)
  writeFileSync(log, `${[...lines.slice(0, 2), lines[2]!.replace('"ok"', '"OK"')].join('\n')}\n`)
  t.match(await verifyLog(log, { keys }), { findings: [{ line: 3, message: /signature does not hold/ }] })
  await appendLog(path, entry, signer)
  t.match(await verifyLog(path, { keys }), { findings: [{ line: 1, message: 'it is not signed' }] })
})

t.test('a last line that was cut short stays, and the next entry says so', async t => {
  const { path } = await makeLog(t, 3)
  const whole = readFileSync(path)
  for (const cut of [1, 2, 40, 100]) {
    writeFileSync(path, whole.subarray(0, whole.length - cut))
    t.match(await verifyLog(path), { ok: false, findings: [{ line: 3, message: /cut short/ }] })
    await appendLog(path, entry)
    t.match(await verifyLog(path), { ok: true, entries: cut === 1 ? 4 : 3 })
    t.ok(
      readFileSync(path)
        .subarray(0, whole.length - cut)
        .equals(whole.subarray(0, whole.length - cut)),
    )
    await appendLog(path, entry)
    t.match(await verifyLog(path), { ok: true })
  }
  // What was cut short cannot be made up later
  const lines = linesIn(path)
  writeFileSync(path, `${lines.toSpliced(1, 1, '{"log":').join('\n')}\n`)
  t.match(await verifyLog(path), { ok: false })
  writeFileSync(path, '{"lo')
  await appendLog(path, entry)
  t.match(await verifyLog(path), { ok: true, entries: 1 })
})

t.test('what is no log is refused before anything is written', async t => {
  const path = join(t.testdir({ x: 'a list of groceries\n' }), 'x')
  await t.rejects(expectLog(path), { code: 'LOG_INVALID', message: /does not end as a log does/ })
  await t.rejects(appendLog(path, entry), { code: 'LOG_INVALID' })
  t.equal(readFileSync(path, 'utf8'), 'a list of groceries\n')
  await t.rejects(appendLog(join(t.testdir(), 'none', 'x'), entry), { code: 'FILE_NOT_FOUND' })
  for (const hostile of ['\0'.repeat(100), `${'['.repeat(100_000)}\n`, 'x'.repeat(3 * LINE_LIMIT), '{"seq":1e999}\n']) {
    writeFileSync(path, hostile)
    t.match(await verifyLog(path), { ok: false, entries: 0, findings: [{ line: 1 }] })
  }
})

t.test('logs of several sites are merged by time, and each can still be checked', async t => {
  const directory = t.testdir()
  const paths = ['a', 'b', 'c'].map(name => join(directory, `${name}.jsonl`))
  const heads: Digest[] = []
  for (let n = 0; n < 9; n += 1) heads.push((await appendLog(paths[n % 3]!, { ...entry, message: `${n}` })).head)
  appendFileSync(paths[0]!, '{"torn')
  heads.push((await appendLog(paths[0]!, entry)).head)
  const all = join(directory, 'all.jsonl')
  t.match(await mergeLogs(paths, all), { ok: true, entries: 10, logs: { length: 3 } })
  t.match(await verifyLog(all, { heads: heads.slice(-3) }), { ok: true })
  const again = join(directory, 'again.jsonl')
  await mergeLogs([all, paths[1]!], again)
  t.equal(readFileSync(again, 'utf8'), readFileSync(all, 'utf8'), 'what is in both is there once')
  const lines = linesIn(all)
  writeFileSync(all, `${lines.toSpliced(4, 1).join('\n')}\n`)
  t.match(await verifyLog(all), { ok: false })
  await t.rejects(mergeLogs([all, paths[1]!], again), { code: 'LOG_INVALID' })
  writeFileSync(all, readFileSync(paths[1]!))
  await appendLog(all, entry)
  await appendLog(paths[1]!, entry)
  await t.rejects(mergeLogs([all, paths[1]!], again), { code: 'LOG_INVALID', message: /entry 4 is another one/ })
  rmSync(all)
  await t.rejects(mergeLogs([all], again), { code: 'FILE_NOT_FOUND' })
})
