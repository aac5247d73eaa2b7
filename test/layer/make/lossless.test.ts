import { join } from 'node:path'
import t from 'tap'
import { openWim } from '../../../src/wim/wim-file.js'
import { encodeReparseData, parseReparsePoint } from '../../../src/windows/reparse-point.js'
import { details, field, make, pythonEntries } from '../../support/made-layers.js'
import { extendedAttributeWim, flawedWim, richWim } from '../../support/wims.js'

const own = (pax: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(pax).filter(([key]) => key.startsWith('STOWAGE.')))

t.test(
  'writeLayerFromWim() keeps short names and object ids with lossless, as wimlib-imagex dir shows them',
  async t => {
    const wim = richWim(t)
    const directory = t.testdir()
    const plain = await make(wim, join(directory, 'plain.tar.gz'))
    const kept = await make(wim, join(directory, 'kept.tar.gz'), { lossless: true })
    t.not(kept.diffId, plain.diffId)
    t.same(kept.lost, {
      shortNames: 0,
      objectIds: 0,
      reparseData: 0,
      reparseFlags: 0,
      extendedAttributeFlags: 0,
      unixData: 0,
      times: 0,
    })
    t.ok(
      pythonEntries(join(directory, 'plain.tar.gz')).every(({ pax }) => Object.keys(own(pax)).length === 0),
      'nothing without being asked',
    )
    const entries = new Map(pythonEntries(join(directory, 'kept.tar.gz')).map(entry => [entry.name, entry]))
    const found = { shortNames: 0, objectIds: 0 }
    for (const [image, root] of [
      [1, 'Files'],
      [2, 'UtilityVM/Files'],
    ] as const) {
      for (const [path, block] of details(wim, image)) {
        const pax = entries.get(path === '/' ? root : root + path)?.pax ?? {}
        const shortName = /^"(.+)"$/.exec(field(block, 'Short Name') ?? '')?.[1]
        const objectId = field(block, 'Object ID')?.replace('0x', '')
        t.equal(pax['STOWAGE.shortname'], shortName, path)
        t.equal(pax['STOWAGE.objectid']?.slice(0, 32), objectId, path)
        if (shortName) found.shortNames += 1
        if (objectId) found.objectIds += 1
      }
    }
    t.match(plain.lost, found, 'and without it says how many are lost')
    t.ok(found.shortNames > 0 && found.objectIds > 0)
  },
)

t.test('writeLayerFromWim() keeps reparse points of unknown tags with lossless, whole', async t => {
  const wim = flawedWim(t, 'unknown-reparse')
  const output = join(t.testdir(), 'layer.tar.gz')
  await make(wim, output, { lossless: true })
  const entry = pythonEntries(output).find(({ name }) => name === 'Files/odd/unknown')
  const attributes = Number(entry?.pax['STOWAGE.fileattr'])
  t.ok(attributes & 0x400)
  t.equal(Number(entry?.pax['MSWINDOWS.fileattr']), attributes & ~0x400, 'to Windows it is not a reparse point')
  const bytes = Buffer.from(entry?.pax['STOWAGE.reparse'] ?? '', 'base64')
  t.equal(bytes.readUInt32LE(), 0x80005707)
  t.equal(bytes.readUInt16LE(6), 0)
  await using opened = await openWim(wim)
  for (const { name, reparseFlags, streams } of (await opened.metadata(1)).dentries) {
    if (name !== 'unknown') continue
    t.equal(bytes.readUInt16LE(4), reparseFlags)
    const pieces = []
    for await (const piece of opened.readBlobs([streams[0]?.blob ?? -1])) pieces.push(piece.bytes)
    t.same(bytes.subarray(8), Buffer.concat(pieces))
  }
  t.ok(bytes.length > 8)
})

t.test(
  'writeLayerFromWim() keeps the reparse data of links that would come back otherwise, and only theirs',
  async t => {
    const output = join(t.testdir(), 'layer.tar.gz')
    const wim = richWim(t)
    await make(wim, output, { lossless: true })
    const links = pythonEntries(output).filter(({ type }) => type === '2')
    const odd = links.filter(({ pax }) => 'STOWAGE.reparse' in pax).map(({ name }) => name)
    t.ok(odd.includes('Files/reparse/junction-no-print-name'), 'its print name is empty')
    t.ok(odd.length < links.length, String(odd))
    for (const { name, linkname, pax } of links) {
      const data = Buffer.from(pax['STOWAGE.reparse'] ?? '', 'base64').subarray(8)
      const mountPoint = 'MSWINDOWS.mountpoint' in pax
      const made = encodeReparseData(linkname, mountPoint)
      if (data.length > 0) t.notSame(made, data, name)
      t.same(parseReparsePoint(mountPoint ? 0xa0000003 : 0xa000000c, data.length > 0 ? data : made, name), {
        target: linkname,
        mountPoint,
      })
    }
    t.equal((await make(wim, output, { force: true })).lost.reparseData, odd.length)
  },
)

t.test('writeLayerFromWim() keeps Unix data with lossless', async t => {
  const output = join(t.testdir(), 'layer.tar.gz')
  const wim = extendedAttributeWim(t)
  const { lost } = await make(wim, output)
  t.equal(lost.unixData, 3)
  await make(wim, output, { lossless: true, force: true })
  for (const { name, pax } of pythonEntries(output)) {
    const mode = Buffer.from(pax['STOWAGE.unixdata'] ?? '', 'hex').readUInt32LE(8)
    t.equal(mode & 0o170000, name === 'Files' ? 0o040000 : 0o100000, name)
  }
})
