import { execFileSync } from 'node:child_process'
import t from 'tap'
import { compressed, decompressed, openScriptDecoder, unzstd } from '../../src/archive/compression.js'
import { refuseOthers } from '../../src/tar/other-file.js'
import { ARCHIVE_COMPRESSION_NAMES, archiveCompressionOf, compressionOfName } from '../../src/oci/compression.js'
import type { Bytes } from '../../src/blob/blob-store.js'
import { noise } from '../support/images.js'

const content = Buffer.concat([noise(300_000, 'zstd'), Buffer.alloc(500_000, 'a'), noise(70_000, 'more')])
const zstd = (input: Uint8Array, ...words: string[]): Buffer =>
  execFileSync('zstd', ['-q', '-c', ...words], { input, maxBuffer: 1 << 28 })
const gzip = (input: Uint8Array): Buffer => execFileSync('gzip', ['-c'], { input, maxBuffer: 1 << 28 })
const xz = (input: Uint8Array, ...words: string[]): Buffer =>
  execFileSync('xz', ['-c', ...words], { input, maxBuffer: 1 << 28 })
const SKIPPABLE = Buffer.concat([Buffer.from('502a4d1803000000', 'hex'), Buffer.from('abc')])

/** In pieces of `size` bytes at both ends, so that every header of the format is cut somewhere; in larger ones between. */
async function* cut(bytes: Uint8Array, size: number): Bytes {
  for (let at = 0; at < bytes.length;) {
    const middle = at > 3000 && at < bytes.length - 3000
    const end = middle ? Math.min(at + Math.max(size, 50_000), bytes.length - 3000) : at + size
    yield bytes.subarray(at, end)
    at = end
  }
}

async function all(bytes: Bytes): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of bytes) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Without the addon, zstd is decoded in JavaScript. */
const WITHOUT_ADDON = 'zstd, without the addon'
type Tool = 'gzip' | 'zstd' | 'xz'
type Form = Tool | typeof WITHOUT_ADDON
const FORMS: readonly Form[] = ['gzip', 'zstd', WITHOUT_ADDON, 'xz']
const toolOf = (form: Form): Tool => (form === WITHOUT_ADDON ? 'zstd' : form)
const packedWith = (form: Form): Buffer => ({ gzip, zstd, xz })[toolOf(form)](content)

function contentOf(bytes: Bytes, form: Form, signal?: AbortSignal): Bytes {
  if (form === WITHOUT_ADDON) return unzstd(bytes, 'x.tar', signal, openScriptDecoder)
  return decompressed(bytes, form, 'x.tar', signal ? { signal } : {})
}

t.test('decompressed() gives what gzip, zstd and xz packed, one member or frame after another', async t => {
  const forms: readonly (readonly [string, Tool, Buffer])[] = [
    ['gzip', 'gzip', gzip(content)],
    ['gzip members', 'gzip', Buffer.concat([gzip(content.subarray(0, 1000)), gzip(content.subarray(1000))])],
    ['zstd', 'zstd', zstd(content)],
    ['zstd, no checksum, high level', 'zstd', zstd(content, '-19', '--no-check')],
    ['zstd, size not told', 'zstd', zstd(content, '--no-content-size')],
    [
      'zstd frames',
      'zstd',
      Buffer.concat([zstd(content.subarray(0, 1000)), SKIPPABLE, zstd(content.subarray(1000)), SKIPPABLE]),
    ],
    ['zstd, skippable first', 'zstd', Buffer.concat([SKIPPABLE, zstd(content)])],
    ['zstd of nothing', 'zstd', Buffer.concat([zstd(Buffer.alloc(0)), zstd(content)])],
    ['xz', 'xz', xz(content)],
    ['xz, several blocks, SHA-256', 'xz', xz(content, '--block-size=100000', '--check=sha256')],
    ['xz streams', 'xz', Buffer.concat([xz(content.subarray(0, 1000)), Buffer.alloc(8), xz(content.subarray(1000))])],
  ]
  for (const [name, compression, packed] of forms) {
    t.equal(archiveCompressionOf(packed), compression, name)
    for (const size of [7, 1000, 1 << 20]) {
      for (const form of FORMS.filter(form => toolOf(form) === compression)) {
        const found = await all(contentOf(cut(packed, size), form))
        t.ok(found.equals(content), `${name}, in pieces of ${size} (${form})`)
      }
    }
  }
})

t.test('decompressed() knows the end of a stream whose content ends where a piece of its own does', async t => {
  for (const mebibytes of [1, 2, 4]) {
    const whole = Buffer.concat([content.subarray(0, 100_000), Buffer.alloc((mebibytes << 20) - 100_000)])
    for (const [form, packed] of [
      ['xz', xz(whole)],
      ['xz', xz(whole, '--block-size=1048576')],
      ['zstd', zstd(whole)],
      ['gzip', gzip(whole)],
    ] as const)
      for (const size of [1000, 1 << 20])
        t.ok(
          (await all(decompressed(cut(packed, size), form, 'x'))).equals(whole),
          `${form}, ${mebibytes} MiB, ${size}`,
        )
  }
})

t.test('decompressed() refuses what is cut short or damaged', async t => {
  for (const form of FORMS) {
    const packed = packedWith(form)
    for (const length of [3, 5, 12, 100, packed.length >> 1, packed.length - 5, packed.length - 1]) {
      await t.rejects(
        all(contentOf(cut(packed.subarray(0, length), 50_000), form)),
        {
          code: 'INVALID_TAR',
          message: /x\.tar is incomplete/,
          hint: /Copy the file again/,
        },
        `${form}, ${length} bytes`,
      )
    }
  }
  const damaged = zstd(content)
  damaged.fill(0xff, 6, 9) // the header of its first block
  const followed = Buffer.concat([zstd(content), Buffer.alloc(40, 'x')])
  const changed = zstd(content)
  changed[200_000]! ^= 1 // which only the checksum shows
  for (const form of FORMS.filter(form => toolOf(form) === 'zstd')) {
    await t.rejects(all(contentOf(cut(damaged, 1000), form)), { code: 'INVALID_TAR' }, form)
    await t.rejects(all(contentOf(cut(followed, 1000), form)), { code: 'INVALID_TAR' }, form)
  }
  await t.rejects(all(contentOf(cut(changed, 1000), 'zstd')), { code: 'INVALID_TAR', message: /checksum/ })
  const wrong = xz(content)
  wrong[200_000]! ^= 1
  await t.rejects(all(contentOf(cut(wrong, 1000), 'xz')), { code: 'INVALID_TAR', message: /corrupt/ })
  const more = Buffer.concat([xz(content), Buffer.alloc(40, 'x')])
  await t.rejects(all(contentOf(cut(more, 1000), 'xz')), { code: 'INVALID_TAR' })
})

t.test('decompressed() gives memory to no zstd window over 128 MiB, wherever it stands', async t => {
  const large = zstd(content, '--long=28', '--no-content-size')
  for (const packed of [large, Buffer.concat([zstd(content), large])]) {
    for (const form of ['zstd', WITHOUT_ADDON] as const) {
      await t.rejects(all(contentOf(cut(packed, 1000), form)), {
        code: 'UNSUPPORTED',
        message: /268435456 bytes of memory/,
        hint: /zstd -d/,
      })
    }
  }
  // A frame of one segment that says it has 4 TiB
  const segment = Buffer.concat([
    Buffer.from('28b52ffde0', 'hex'),
    Buffer.from('0000000000040000', 'hex'),
    Buffer.from('010000', 'hex'),
  ])
  await t.rejects(all(decompressed(cut(segment, 3), 'zstd', 'x.tar')), { code: 'UNSUPPORTED' })
  t.ok(
    (await all(decompressed(cut(zstd(content, '--long=27', '--no-content-size'), 5000), 'zstd', 'x.tar'))).equals(
      content,
    ),
  )
})

t.test('decompressed() holds no more than a few MiB of what a few bytes stand for', async t => {
  const size = 400_000_000
  for (const form of FORMS) {
    const packed = execFileSync('sh', ['-c', `head -c ${size} /dev/zero | ${toolOf(form)} -1 -c`], {
      maxBuffer: 1 << 28,
    })
    let [read, most] = [0, 0]
    const before = process.memoryUsage().rss
    for await (const piece of contentOf(cut(packed, 1 << 20), form)) {
      read += piece.length
      most = Math.max(most, process.memoryUsage.rss() - before)
    }
    t.equal(read, size)
    t.ok(most < 150_000_000, `${form}: ${most} bytes more`)
  }
})

t.test('decompressed() throws what its source throws, and stops when it is told to', async t => {
  for (const form of FORMS) {
    const packed = packedWith(form)
    const failing = async function* (): Bytes {
      yield packed.subarray(0, 20_000)
      throw new RangeError('the medium is gone')
    }
    await t.rejects(all(contentOf(failing(), form)), {
      name: 'RangeError',
      message: 'the medium is gone',
    })
    const abort = new AbortController()
    const aborting = async function* (): Bytes {
      yield packed.subarray(0, 20_000)
      abort.abort()
      yield packed.subarray(20_000)
    }
    await t.rejects(all(contentOf(aborting(), form, abort.signal)))
    for await (const _piece of contentOf(cut(packed, 1000), form)) break
  }
})

t.test('refuseOthers() says what decompresses a file of another kind', async t => {
  for (const [magic, command] of [
    ['425a6839314159265359', 'bzip2 -d'],
    ['04224d18', 'lz4 -d'],
    ['504b0304', 'unzip'],
  ] as const) {
    t.throws(() => refuseOthers(Buffer.from(magic, 'hex'), 'x.tar'), { code: 'UNSUPPORTED', hint: new RegExp(command) })
  }
  refuseOthers(Buffer.from('BZhere/file'), 'a tar whose first member has such a name')
})

t.test('compressed() gives what gzip, zstd and xz unpack, the same bytes each time', async t => {
  for (const compression of ARCHIVE_COMPRESSION_NAMES) {
    for (const input of [content, Buffer.alloc(0)]) {
      const packed = await all(compressed(cut(input, 70_001), compression))
      const unpacked = execFileSync(compression, ['-dc'], { input: packed, maxBuffer: 1 << 28 })
      t.ok(unpacked.equals(input), `${compression}, ${input.length} bytes`)
      t.ok((await all(compressed(cut(input, 1 << 20), compression))).equals(packed), 'whatever its pieces are')
    }
  }
})

t.test('compressionOfName() knows the endings', t => {
  for (const [name, compression] of [
    ['a.tar.gz', 'gzip'],
    ['A.TGZ', 'gzip'],
    ['a.tar.zst', 'zstd'],
    ['a.tzst', 'zstd'],
    ['a.tar.xz', 'xz'],
    ['a.txz', 'xz'],
    ['a.tar', undefined],
    ['a.gz', undefined],
    ['zst', undefined],
  ] as const)
    t.equal(compressionOfName(name), compression, name)
  t.end()
})
