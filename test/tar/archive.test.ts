import { execFileSync } from 'node:child_process'
import { mkdir, open, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import { type ArchiveMember, fileInput, listArchive } from '../../src/tar/archive.js'
import { checksum, encodeHeader, encodeReservedHeader, padding, TAR_END } from '../../src/tar/header.js'

async function list(path: string): Promise<readonly ArchiveMember[]> {
  const file = await open(path)
  try {
    return await listArchive(await fileInput(file), path)
  } finally {
    await file.close()
  }
}

async function listBytes(t: { testdir(): string }, ...pieces: Uint8Array[]): Promise<readonly ArchiveMember[]> {
  const path = join(t.testdir(), 'x.tar')
  await writeFile(path, Buffer.concat(pieces))
  return await list(path)
}

function member(name: string, content = 'x'): Uint8Array {
  return Buffer.concat([header(name, content.length), Buffer.from(content), padding(content.length)])
}

/** A header with any name and type, checksum right: what encodeHeader() refuses to make. */
function header(name: string, size: number, flag = '0'): Uint8Array {
  const block = Buffer.from(encodeHeader({ name: 'x', size }))
  block.fill(0, 0, 100).write(name, 0, 100)
  block.write(flag, 156, 'latin1')
  return summed(block)
}

function summed(block: Buffer): Uint8Array {
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

t.test('listArchive() finds every member of what GNU tar writes, in each of its formats', async t => {
  const long = `${'d'.repeat(120)}/${'f'.repeat(150)}`
  for (const format of ['ustar', 'gnu', 'pax', 'v7', 'oldgnu']) {
    const root = t.testdir()
    const files = {
      'a.txt': 'hello',
      'sub/b.bin': 'y'.repeat(1000),
      'sub/empty': '',
      ...(/gnu|pax/.test(format) ? { [long]: 'far away', 'ü/日本': 'z' } : {}),
    }
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(root, 'in', name)), { recursive: true })
      await writeFile(join(root, 'in', name), content)
    }
    const tar = join(root, 'x.tar')
    execFileSync('tar', ['-C', join(root, 'in'), `--format=${format}`, '-cf', tar, '.'])
    const members = await list(tar)
    const bytes = await readFile(tar)
    const found = members
      .filter(({ type }) => type === 'file')
      .map(({ name, offset, size }) => [name, bytes.toString('utf8', offset, offset + size)])
    t.same(Object.fromEntries(found), files, format)
    t.ok(
      members.some(({ name, type }) => name === 'sub' && type === 'directory'),
      format,
    )
  }
})

t.test('listArchive() says of links and devices that they are other', async t => {
  const root = t.testdir({ in: { a: 'x' } })
  await symlink('/etc/passwd', join(root, 'in', 'link'))
  execFileSync('tar', ['-C', join(root, 'in'), '-cf', join(root, 'x.tar'), 'a', 'link'])
  t.match(await list(join(root, 'x.tar')), [
    { name: 'a', type: 'file' },
    { name: 'link', type: 'other', size: 0 },
  ])
})

t.test('listArchive() reads base-256 sizes and PAX sizes', async t => {
  const big = 9 * 1024 ** 3
  for (const start of [encodeReservedHeader({ name: 'big', size: big }), encodeHeader({ name: 'big', size: big })]) {
    const path = join(t.testdir(), 'x.tar')
    const file = await open(path, 'w')
    await file.write(start, 0, start.length, 0)
    await file.write(TAR_END, 0, TAR_END.length, start.length + big) // sparse: no disk is used
    await file.close()
    t.same(await list(path), [{ name: 'big', type: 'file', size: big, offset: start.length }])
    t.match(execFileSync('tar', ['tvf', path]).toString(), / 9663676416 /)
  }
})

t.test('listArchive() tolerates unknown PAX keys and a global comment', async t => {
  const pax = (flag: string, body: string) =>
    Buffer.concat([header('PaxHeaders/x', body.length, flag), Buffer.from(body), padding(body.length)])
  const members = await listBytes(
    t,
    pax('g', '16 comment=abcd\n'),
    pax('x', '20 VENDOR.x=unknown\n'),
    member('a'),
    TAR_END,
  )
  t.match(members, [{ name: 'a', size: 1 }])
})

t.test('listArchive() refuses names that are not inside', async t => {
  for (const name of ['/etc/passwd', '../x', 'a/../../x', 'C:/x', 'a\\..\\x', '']) {
    await t.rejects(listBytes(t, header(name, 0), TAR_END), { code: 'INVALID_TAR' }, JSON.stringify(name))
  }
  const long = Buffer.from('a\0b')
  await t.rejects(
    listBytes(t, header('L', long.length, 'L'), long, padding(long.length), member('x'), TAR_END),
    { code: 'INVALID_TAR' },
    'NUL',
  )
})

t.test('listArchive() refuses a name that stands twice, however it is written', async t => {
  await t.rejects(listBytes(t, member('a'), member('./a'), TAR_END), { code: 'INVALID_TAR', message: /second time/ })
})

t.test('listArchive() refuses what other readers of tar see otherwise', async t => {
  const hidden = member('hidden')
  for (const [name, flag] of [
    ['d/', '0'],
    ['d/', '\0'],
    ['d', '5'],
    ['d', '1'],
    ['d', '2'],
  ] as const) {
    const holder = header(name, hidden.length, flag)
    await t.rejects(
      listBytes(t, holder, hidden, TAR_END),
      { code: 'INVALID_TAR', message: /with 1024 bytes/ },
      name + flag,
    )
  }
  const extended = (flag: string, body: string) =>
    Buffer.concat([header('x', body.length, flag), Buffer.from(body), padding(body.length)])
  const [path, other, time] = [extended('x', '10 path=q\n'), extended('L', 'other\0'), extended('x', '11 mtime=1\n')]
  for (const pair of [
    [path, path],
    [path, time],
    [time, path],
    [path, other],
    [other, path],
    [other, other],
  ]) {
    await t.rejects(listBytes(t, ...pair, member('a'), TAR_END), { code: 'INVALID_TAR', message: /second extended/ })
  }
  t.match(await listBytes(t, other, time, member('a'), path, member('b'), TAR_END), [{ name: 'other' }, { name: 'q' }])
  t.match(await listBytes(t, extended('x', '11 path=q/\n'), header('a', 0), TAR_END), [
    { name: 'q', type: 'directory' },
  ])
})

t.test('listArchive() refuses truncation at every block, saying what it expected', async t => {
  const whole = Buffer.concat([member('a', 'x'.repeat(700)), member('b'), TAR_END])
  for (let end = 0; end < whole.length; end += 512) {
    const message = end === 0 ? /is not a tar: it has 0 bytes/ : /truncated/
    await t.rejects(listBytes(t, whole.subarray(0, end)), { code: 'INVALID_TAR', message }, `${end} bytes`)
  }
  await t.rejects(listBytes(t, whole.subarray(0, 700)), { code: 'INVALID_TAR', message: /file has 700 bytes/ })
})

t.test('listArchive() refuses sizes that lie', async t => {
  await t.rejects(listBytes(t, header('a', 10_000), TAR_END), { code: 'INVALID_TAR', message: /ends at 10512/ })
  const record = '30 size=99999999999999999999\n'
  await t.rejects(
    listBytes(t, header('p', record.length, 'x'), Buffer.from(record), padding(record.length), member('a'), TAR_END),
    {
      code: 'INVALID_TAR',
    },
  )
  await t.rejects(listBytes(t, header('p', 64 * 1024 * 1024, 'x'), TAR_END), { code: 'INVALID_TAR', message: /limit/ })
})

t.test('listArchive() refuses a wrong checksum, bytes after the end, and what is not a tar', async t => {
  const wrong = Buffer.from(member('a'))
  wrong[0] = 0x62
  await t.rejects(listBytes(t, wrong, TAR_END), { code: 'INVALID_TAR', message: /checksum/ })
  await t.rejects(listBytes(t, member('a'), TAR_END, member('hidden'), TAR_END), {
    code: 'INVALID_TAR',
    message: /follow/,
  })
  await t.rejects(listBytes(t, Buffer.from('PK\x03\x04'.repeat(400))), { code: 'INVALID_TAR' })
  await t.rejects(listBytes(t, Buffer.alloc(0)), { code: 'INVALID_TAR' })
})

t.test('listArchive() refuses an extended header with nothing after it, and a sparse file', async t => {
  const record = '10 path=q\n'
  await t.rejects(listBytes(t, header('p', record.length, 'x'), Buffer.from(record), padding(record.length), TAR_END), {
    code: 'INVALID_TAR',
  })
  const sparse = '22 GNU.sparse.major=1\n'
  await t.rejects(
    listBytes(t, header('p', sparse.length, 'x'), Buffer.from(sparse), padding(sparse.length), member('a'), TAR_END),
    {
      code: 'INVALID_TAR',
    },
  )
})
