/** Which bytes of a tar the lists of a bundle bind: the table in docs/bundle-format.md. */
import { execFileSync } from 'node:child_process'
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { verifyBundle } from '../../src/bundle/verify.js'
import { fileInput, listArchive } from '../../src/tar/archive.js'
import { checksum, encodeEntry } from '../../src/tar/header.js'
import { writeBundle } from '../support/bundles.js'
import { layeredImage } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const BLOCK = 512
const path = join(scratch(t), 'x.tar')
await writeBundle(path, { 'shop:1': await layeredImage(2, { size: 700 }) })
const pristine = await readFile(path)

/** The fields of a ustar header. Source: POSIX.1-2017, pax, "ustar Interchange Format". */
const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  chksum: [148, 8],
  typeflag: [156, 1],
  linkname: [157, 100],
  magic: [257, 6],
  version: [263, 2],
  uname: [265, 32],
  gname: [297, 32],
  devmajor: [329, 8],
  devminor: [337, 8],
  prefix: [345, 155],
  unused: [500, 12],
} as const

/** What nothing binds in a header whose checksum is right: the table says so. */
const NOT_BOUND = ['mode', 'uid', 'gid', 'mtime', 'uname', 'gname', 'devmajor', 'devminor', 'version', 'unused']
/** Of a member that is no link, and of a header that has another magic and no prefix. */
const NOT_USED = ['linkname', 'magic']

interface Region {
  readonly what: string
  readonly start: number
  readonly end: number
}

/** Headers, contents and padding of the tar in their order, and its end. */
async function regions(): Promise<readonly Region[]> {
  const file = await open(path)
  const members = await listArchive(await fileInput(file), path)
  await file.close()
  const found = members.flatMap(({ name, offset, size }): Region[] => [
    { what: `header ${name}`, start: offset - BLOCK, end: offset },
    { what: `content ${name}`, start: offset, end: offset + size },
    { what: `padding ${name}`, start: offset + size, end: Math.ceil((offset + size) / BLOCK) * BLOCK },
  ])
  return [...found, { what: 'end', start: found.at(-1)!.end, end: pristine.length }]
}

const all = await regions()

async function isFound(bytes: Uint8Array): Promise<boolean> {
  const file = join(scratch(t), 'x.tar')
  await writeFile(file, bytes)
  return !(await verifyBundle(file)).ok
}

function flip(at: number): Buffer {
  const bytes = Buffer.from(pristine)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return bytes
}

t.test('the regions are all of the tar', t => {
  t.ok(all.length > 30)
  t.equal(all[0]?.start, 0)
  t.ok(all.every(({ start }, n) => n === 0 || all[n - 1]?.end === start))
  t.end()
})

t.test('verify notices a byte that is flipped, wherever it is', async t => {
  for (const { what, start, end } of all) {
    for (const at of new Set([start, (start + end) >> 1, end - 1])) {
      if (at >= start && at < end) t.ok(await isFound(flip(at)), `${what}, byte ${at}`)
    }
  }
})

t.test(
  'verify notices a field of a header that was forged with its checksum, except those that nothing binds',
  async t => {
    const headers = all.filter(({ what }) => what.startsWith('header'))
    for (const name of ['header README.txt', 'header blobs', headers.at(-3)!.what, 'header SHA256SUMS']) {
      const { start } = headers.find(({ what }) => what === name)!
      const found: string[] = []
      const missed: string[] = []
      for (const [field, [offset, length]] of Object.entries(FIELDS)) {
        if (field === 'chksum') continue
        const bytes = Buffer.from(pristine)
        // A digit of a number, the first letter of a text, and another type: a link
        const at = start + offset + (length === 12 ? 3 : 0)
        bytes[at] = field === 'typeflag' ? 0x32 : bytes[at] === 0x37 ? 0x36 : 0x37
        const sum = checksum(bytes.subarray(start, start + BLOCK))
        bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, start + 148, 'latin1')
        ;((await isFound(bytes)) ? found : missed).push(field)
      }
      t.same(
        missed.filter(field => ![...NOT_BOUND, ...NOT_USED].includes(field)),
        name === 'header blobs' ? ['name', 'prefix'] : [],
        name,
      )
      for (const field of name === 'header blobs' ? ['size', 'typeflag'] : ['name', 'size', 'typeflag', 'prefix'])
        t.ok(found.includes(field), `${name} ${field}`)
    }
  },
)

t.test('verify takes no directories and more zeros, but no other members, as the table says', async t => {
  const [blobs, readme] = ['header blobs', 'header README.txt'].map(name => all.find(({ what }) => what === name)!)
  t.notOk(await isFound(Buffer.concat([pristine.subarray(0, blobs!.start), pristine.subarray(readme!.start)])))
  t.notOk(await isFound(Buffer.concat([pristine, Buffer.alloc(10_240)])))
  t.ok(await isFound(Buffer.concat([pristine, Buffer.alloc(2 << 20)])), 'but not any number of zeros')
  t.ok(await isFound(Buffer.concat([pristine, Buffer.alloc(BLOCK), Buffer.from('x')])))
  const { size } = { size: 3 }
  const extra = encodeEntry({ name: 'x.txt', flag: '0', mode: 0o644, size, mtime: 0 })
  const smuggled = Buffer.concat([extra, Buffer.from('abc'), Buffer.alloc(BLOCK - size)])
  t.ok(await isFound(Buffer.concat([pristine.subarray(0, readme!.start), smuggled, pristine.subarray(readme!.start)])))
  const link = encodeEntry({ name: 'x', flag: '2', mode: 0o777, size: 0, mtime: 0, linkname: '/etc/passwd' })
  t.ok(await isFound(Buffer.concat([pristine.subarray(0, readme!.start), link, pristine.subarray(readme!.start)])))
})

/** A PAX header of one record. Source: POSIX.1-2017, pax, "pax Extended Header". */
function paxHeader(keyword: string, value: string, flag: 'x' | 'g' = 'x'): Buffer {
  const rest = ` ${keyword}=${value}\n`
  const length = (digits: number): number => (String(digits + rest.length).length > digits ? digits + 1 : digits)
  const record = `${length(length(1)) + rest.length}${rest}`
  const header = Buffer.from(encodeEntry({ name: 'pax', flag: '0', mode: 0o644, size: record.length, mtime: 0 }))
  header.write(flag, 156, 'latin1')
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return Buffer.concat([header, Buffer.from(record), Buffer.alloc(BLOCK - record.length)])
}

t.test('verify notices PAX records that change a member, and takes all others, as the table says', async t => {
  const { start } = all.find(({ what }) => what === 'header README.txt')!
  const withRecord = (...record: Parameters<typeof paxHeader>): Buffer =>
    Buffer.concat([pristine.subarray(0, start), paxHeader(...record), pristine.subarray(start)])
  for (const [keyword, value] of [
    ['path', 'readme.txt'],
    ['size', '3'],
    ['GNU.sparse.realsize', '3'],
    ['GNU.sparse.name', 'readme.txt'],
  ] as const)
    t.ok(await isFound(withRecord(keyword, value)), keyword)
  for (const keyword of [
    'mtime',
    'atime',
    'uid',
    'gid',
    'uname',
    'gname',
    'comment',
    'SCHILY.xattr.user.x',
    'VENDOR.x',
  ])
    t.notOk(await isFound(withRecord(keyword, '1')), keyword)
  t.notOk(await isFound(withRecord('comment', 'for all members', 'g')), 'a global header')
  t.notOk(await isFound(withRecord('path', 'README.txt')), 'a name that is that of the member')
})

t.test('a tar that GNU tar makes of the same members is valid, in every format that it writes', async t => {
  const directory = scratch(t)
  execFileSync('tar', ['-xf', path, '-C', directory])
  for (const format of ['gnu', 'pax', 'ustar']) {
    const file = join(scratch(t), 'x.tar')
    const words = ['--sort=name', '--owner=alice:1000', `--format=${format}`, '-cf', file, '-C', directory, '.']
    execFileSync('tar', words)
    t.match(await verifyBundle(file), { ok: true }, format)
  }
})
