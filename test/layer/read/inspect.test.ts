import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeLayerFromWim } from '../../../src/layer/make/from-wim.js'
import { inspectLayer } from '../../../src/layer/read/inspect.js'
import { openLayer } from '../../../src/layer/read/read-layer.js'
import type { LayerTarEntry } from '../../../src/layer/read/tar-entry.js'
import { openWim } from '../../../src/wim/wim-file.js'
import { fileEntry, goodLayer, makeTar, pythonEntries, setField } from '../../support/layers.js'
import { richWim } from '../../support/wims.js'

t.test('inspectLayer() counts what Python counts', async t => {
  const directory = t.testdir()
  const layer = join(directory, 'layer.tar.gz')
  await using wim = await openWim(richWim(t))
  await writeLayerFromWim(wim, layer)
  const all: LayerTarEntry[] = []
  const told = await inspectLayer(await openLayer(layer), { largest: 4, onEntries: batch => void all.push(...batch) })
  const python = pythonEntries(layer)
  const count = (type: string): number => python.filter(entry => entry.type === type).length
  t.same(told.counts, {
    entries: python.length,
    files: count('0'),
    directories: count('5'),
    hardLinks: count('1'),
    symlinks: count('2'),
    devices: 0,
    fifos: 0,
    streams: 5,
    whiteouts: 0,
  })
  t.equal(
    told.contentSize,
    python.reduce((sum, { size }) => sum + size, 0),
  )
  const sizes = python.map(({ size }) => size).sort((a, b) => b - a)
  t.same(
    told.largest.map(({ size }) => size),
    sizes.slice(0, 4),
  )
  for (const { path, size } of told.largest) t.equal(python.find(({ name }) => name === path)?.size, size)
  const keys = new Map<string, number>()
  for (const { pax } of python) for (const key of Object.keys(pax)) keys.set(key, (keys.get(key) ?? 0) + 1)
  t.same(
    told.records,
    [...keys].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, times]) => ({ key, count: times })),
  )
  t.same(told.owners, [{ uid: 0, gid: 0, uname: '', gname: '', count: python.length }])
  t.same(
    all.map(({ path }) => path),
    python.map(({ name }) => name),
  )
  const digest = execFileSync('sha256sum', [layer], { encoding: 'utf8' }).slice(0, 64)
  const diffId = execFileSync('sh', ['-c', 'gunzip -c "$0" | sha256sum', layer], { encoding: 'utf8' }).slice(0, 64)
  t.match(told, { compression: 'gzip', digest: `sha256:${digest}`, diffId: `sha256:${diffId}` })
})

t.test('inspectLayer() sees owners, devices, fifos and whiteouts', async t => {
  const path = join(t.testdir(), 'layer.tar')
  const tar = makeTar([
    { name: 'dev', flag: '3' },
    { name: 'block', flag: '4' },
    { name: 'fifo', flag: '6' },
    { name: 'a/.wh.gone' },
    { name: 'a/.wh..wh..opq' },
    { name: 'not:a:stream' },
    fileEntry('x', 'xyz'),
    fileEntry('x:y', 'z'),
  ])
  setField(tar, 108, '0001750\0')
  setField(tar, 265, 'user\0')
  writeFileSync(path, tar)
  const told = await inspectLayer(await openLayer(path), { largest: 1 })
  t.match(told.counts, { entries: 8, devices: 2, fifos: 1, files: 5, streams: 1, whiteouts: 2 })
  t.same(told.owners, [
    { uid: 0, gid: 0, uname: '', gname: '', count: 7 },
    { uid: 1000, gid: 0, uname: 'user', gname: '', count: 1 },
  ])
  t.same(told.largest, [{ path: 'x', size: 3 }])
  writeFileSync(path, makeTar(goodLayer()))
  t.equal((await inspectLayer(await openLayer(path), { largest: 3 })).largest.length, 3)
})
