/** entriesAsJson(): our own readers and libwim list the same, and entries() says it too. */
import { dirname, join } from 'node:path'
import { renameSync } from 'node:fs'
import t from 'tap'
import { createWim, openWim, type WimFile } from '../../src/wim/wim-file.js'
import { scratch } from '../support/scratch.js'
import {
  directoryWim,
  extendedAttributeWim,
  patchMetadata,
  renameIn,
  richWim,
  WIM_FORMS,
  wimlib,
} from '../support/wims.js'

interface Line {
  readonly path: string
  readonly attributes: number
  readonly linkCount: number
  readonly created: string
  readonly streams: readonly {
    readonly name?: string
    readonly sha1?: string
    readonly size: number
    readonly missing?: boolean
  }[]
}

async function linesOf(wim: WimFile, image = 1): Promise<Line[]> {
  let text = ''
  for await (const piece of wim.entriesAsJson(image)) text += piece.toString()
  return JSON.parse(`[${text}]`) as Line[]
}

/** The same by libwim: it lists what was changed in memory, even where nothing came of the change. */
async function linesByLibwim(wim: WimFile, image = 1): Promise<Line[]> {
  await wim.deletePath(image, '/no such file', { force: true })
  return await linesOf(wim, image)
}

t.test('entriesAsJson() lists the same by our own readers as by libwim, in every form of a WIM', async t => {
  const wims = [...WIM_FORMS.map(form => richWim(t, form)), extendedAttributeWim(t), directoryWim(t)]
  for (const path of wims) {
    await using wim = await openWim(path)
    for (const { index } of wim.images()) {
      const own = await linesOf(wim, index)
      t.ok(own.length >= 3)
      t.strictSame(own, await linesByLibwim(wim, index), `${path} ${index}`)
      const paths: string[] = []
      for await (const { path: each } of wim.entries(index)) paths.push(each)
      t.same(
        own.map(line => line.path),
        paths,
      )
    }
    t.equal((await linesOf(wim)).map(({ path: each }) => `${each}\n`).join(''), wimlib('dir', path, '1'))
  }
})

t.test('entries() lists the same by our own readers as by libwim', async t => {
  const wims = [...WIM_FORMS.map(form => richWim(t, form)), extendedAttributeWim(t), directoryWim(t)]
  const list = async (wim: WimFile, ...args: Parameters<WimFile['entries']>): Promise<unknown[]> => {
    const all: unknown[] = []
    for await (const entry of wim.entries(...args)) all.push(entry)
    return all
  }
  for (const path of wims) {
    await using own = await openWim(path)
    await using byLibwim = await openWim(path)
    await byLibwim.referenceResources([]) // libwim lists a WIM with other WIMs in memory
    const [, second = '/'] = (await list(own, 1)).map(entry => (entry as { path: string }).path)
    for (const options of [
      {},
      { recursive: false },
      { children: true },
      { children: true, recursive: false },
      { path: second },
      { path: `//${second.slice(1)}/`, recursive: false },
      { path: second, children: true },
      { resourcesNeeded: true },
    ])
      t.strictSame(await list(own, 1, options), await list(byLibwim, 1, options), `${path} ${JSON.stringify(options)}`)
    t.strictSame(await list(own, 'all'), await list(byLibwim, 'all'))
    await t.rejects(list(own, 1, { path: '/no/such' }), { code: 'FILE_NOT_FOUND' })
    await t.rejects(list(own, 99), { code: 'IMAGE_NOT_FOUND' })
  }
})

t.test('entriesAsJson() leaves to libwim what libwim has its own ways with', async t => {
  for (const [from, to] of [
    ['a_b', 'a/b'],
    ['a_b', 'aab'],
    ['a_', '..'],
    ['a_b', '\ud800ab'.slice(0, 3)],
  ] as const) {
    const files = { [from]: Buffer.from('x'), aab: Buffer.from('y'), 'quote"\\': Buffer.from('') }
    const path = directoryWim(t, { files, args: ['--compress=none'] })
    patchMetadata(path, metadata => renameIn(metadata, from, to))
    await using wim = await openWim(path)
    t.strictSame(await linesOf(wim), await linesByLibwim(wim), JSON.stringify(to))
  }
})

t.test('entriesAsJson() tells times of any year, and what is not there', async t => {
  const path = directoryWim(t, { args: ['--compress=none'] })
  patchMetadata(path, metadata => {
    // Times of the root: after the security data, 40 bytes into the dentry.
    const root = Math.ceil(Math.max(metadata.readUInt32LE(0), 8) / 8) * 8
    metadata.writeBigUInt64LE(0n, root + 40)
    metadata.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, root + 48)
    metadata.writeBigUInt64LE(132_000_000_000_000_001n, root + 56)
  })
  await using wim = await openWim(path)
  t.match((await linesOf(wim))[0], {
    created: '1601-01-01T00:00:00.0000000Z',
    accessed: '+060056-05-28T05:36:10.9551615Z',
    written: '2019-04-17T18:40:00.0000001Z',
  })
  const base = directoryWim(t)
  await using from = await openWim(base)
  const delta = join(dirname(base), 'delta.wim')
  {
    await using to = await createWim()
    await to.referenceResources([from])
    await from.exportImage(1, to)
    await to.write(delta, { skipExternalWims: true })
  }
  await using opened = await openWim(delta)
  const missing = (await linesOf(opened)).filter(line => line.streams[0]?.missing)
  t.ok(missing.length > 0 && missing.every(line => /^[0-9a-f]{40}$/.test(line.streams[0]?.sha1 ?? '')))
  t.strictSame(await linesOf(opened), await linesByLibwim(opened))
  renameSync(base, `${base}.ref`)
  await opened.referenceFiles([`${base}.ref`])
  t.notOk((await linesOf(opened)).some(line => line.streams[0]?.missing))
})

t.test('entries() gives one entry at a time, of the only image unless another is asked for', async t => {
  const path = directoryWim(t, { files: { 'notes.txt': Buffer.from('x'), 'more.txt': Buffer.from('y') } })
  await using wim = await openWim(path)
  const paths = []
  for await (const entry of wim.entries()) paths.push(entry.path)
  t.equal(paths.map(each => `${each}\n`).join(''), wimlib('dir', path, '1'))
  const batches = []
  for await (const batch of wim.entryBatches()) batches.push(...batch.map(entry => entry.path))
  t.same(batches, paths)
  for await (const { path: below } of wim.entries({ path: '/notes.txt' })) t.equal(below, '/notes.txt')
  let json = ''
  for await (const piece of wim.entriesAsJson()) json += piece.toString()
  t.same(
    (JSON.parse(`[${json}]`) as Line[]).map(line => line.path),
    paths,
  )
  t.same([...(await wim.metadata()).dentries].map(({ name }) => name).sort(), ['', 'more.txt', 'notes.txt'])

  await wim.addImage(scratch(t), { name: 'Second "one"' })
  const several = {
    code: 'INVALID_ARGUMENT',
    message: `${path} has 2 images: 1 "tree", 2 "Second \\"one\\""`,
    hint: 'Pass the number of one of them.',
  }
  await t.rejects(wim.entries().next(), several)
  await t.rejects(wim.entriesAsJson().next(), several)
  await t.rejects(wim.metadata(), several)
  for await (const { path: root } of wim.entries(2)) t.equal(root, '/')
  const both = []
  for await (const entry of wim.entries('all')) both.push(entry.path)
  t.same(both.sort(), [...paths, '/'].sort())

  await wim.deleteImage('all')
  await t.rejects(wim.entries().next(), { code: 'IMAGE_NOT_FOUND', message: `${path} has no images` })
})
