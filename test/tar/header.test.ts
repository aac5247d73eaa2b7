import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { extract } from 'tar-stream'
import { encodeHeader, padding, TAR_END, type TarMember } from '../../src/tar/header.js'

const run = promisify(execFile)
const long = `${'d'.repeat(90)}/${'e'.repeat(60)}/${'f'.repeat(99)}`
const longer = `a/${'x'.repeat(180)}.txt`
const foreign = 'Länder/日本.txt'

function archive(members: readonly (TarMember & { readonly content: string })[]): Buffer {
  const pieces = members.flatMap(member => [encodeHeader(member), Buffer.from(member.content), padding(member.size)])
  return Buffer.concat([...pieces, TAR_END])
}

const members = [
  { name: 'dir', size: 0, type: 'directory' as const, content: '' },
  { name: 'dir/a.txt', size: 5, content: 'hello' },
  { name: long, size: 3, content: 'abc', mtime: 1_700_000_000 },
  { name: longer, size: 600, content: 'y'.repeat(600) },
  { name: foreign, size: 1, content: 'z' },
]

t.test('encodeHeader() is read by GNU tar as it was meant', async t => {
  const file = join(t.testdir(), 'x.tar')
  await writeFile(file, archive(members))
  const { stdout, stderr } = await run('tar', ['tvf', file, '--numeric-owner', '--quoting-style=literal'], {
    env: { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8' },
  })
  t.equal(stderr, '')
  const lines = stdout.trimEnd().split('\n')
  t.match(lines[0], /^drwxr-xr-x 0\/0 +0 1970-01-01 00:00 dir\/$/)
  t.match(lines[1], /^-rw-r--r-- 0\/0 +5 1970-01-01 00:00 dir\/a.txt$/)
  t.match(lines[2], /^-rw-r--r-- 0\/0 +3 2023-11-14 22:13 /)
  t.same(
    lines.map(line => line.split(' ').at(-1)),
    ['dir/', ...members.slice(1).map(member => member.name)],
  )
})

t.test('encodeHeader() is read by tar-stream as it was meant', async t => {
  const reader = extract()
  reader.end(archive(members))
  const seen: [string, number, string][] = []
  for await (const entry of reader) {
    const pieces: Buffer[] = []
    for await (const piece of entry) pieces.push(piece as Buffer)
    seen.push([entry.header.name, entry.header.size ?? -1, Buffer.concat(pieces).toString()])
  }
  t.same(
    seen.slice(1),
    members.slice(1).map(({ name, size, content }) => [name, size, content]),
  )
})

t.test('encodeHeader() takes one block for every name and size that ustar holds', async t => {
  t.equal(encodeHeader({ name: `blobs/sha256/${'0'.repeat(64)}`, size: 0o77777777777 }).length, 512)
  t.equal(encodeHeader({ name: long, size: 1 }).length, 512)
  t.equal(encodeHeader({ name: longer, size: 1 }).length, 1536)
  t.equal(encodeHeader({ name: 'a', size: 0o100000000000 }).length, 1536)
})

t.test('encodeHeader() says a size of 8 GiB and more in PAX', async t => {
  const reader = extract()
  const size = 9 * 1024 ** 3
  const seen = new Promise(resolve => reader.once('entry', header => resolve([header.name, header.size])))
  reader.write(encodeHeader({ name: 'big', size }))
  t.same(await seen, ['big', size])
  reader.destroy()
})

t.test('encodeHeader() refuses names that would climb out', async t => {
  for (const name of ['', '/etc/passwd', '../x', 'a/../b', 'a//b', './a', 'a\0b', '/']) {
    t.throws(() => encodeHeader({ name, size: 0 }), { code: 'INVALID_ARGUMENT' }, JSON.stringify(name))
  }
})
