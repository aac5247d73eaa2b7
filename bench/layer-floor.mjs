/**
 * What a layer costs at least: `layer-floor.mjs WIM COMPRESSION DIRECTORY`. Prints the seconds of processor time of its two
 * halves, each alone and on one thread: `blobs`, decompressed and hashed; and `layer`, the tar hashed, compressed, hashed.
 */
import { closeSync, createReadStream, openSync } from 'node:fs'
import { join } from 'node:path'
import { openWim, writeLayerFromWim } from '../dist/index.js'
import { checkedCompression } from '../dist/layer/compression.js'
import { runLayerJob } from '../dist/layer/make/job.js'

const [wimPath, type, directory] = process.argv.slice(2)
const tar = join(directory, 'floor.tar')
const output = join(directory, 'floor.out')

async function seconds(work) {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

const wim = await openWim(wimPath)
await writeLayerFromWim(wim, tar, { image: 1, compression: { type: 'none' }, force: true })
const { count, ranks } = wim.blobs()
const order = Uint32Array.from({ length: count }, (_, n) => n).sort((a, b) => ranks[a] - ranks[b])
const blobs = await seconds(async () => {
  for await (const _ of wim.readBlobs(order, { threads: 1 }));
})
closeSync(openSync(output, 'w'))
const layer = await seconds(() =>
  runLayerJob(undefined, new Uint32Array(), createReadStream(tar, { highWaterMark: 1 << 20 }), {
    path: output,
    offset: 0,
    compression: checkedCompression({ type }),
    threads: 1,
    signal: undefined,
    onWritten() {},
    subject: tar,
  }),
)
await wim[Symbol.asyncDispose]()
console.log(JSON.stringify({ blobs, layer }))
