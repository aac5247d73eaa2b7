// For no-threads.test.ts: uses the addon while no thread can be started, and again once one can.
// Arguments: the addon, a flag file, a WIM, a layer, a scratch file. Prints what happened as JSON.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setImmediate } from 'node:timers/promises'

const [, , addonPath, flag, wimPath, layerPath, scratch] = process.argv
const addon = createRequire(import.meta.url)(addonPath)
const seen = { errors: [], slowest: 0 }

const open = () =>
  new Promise((resolve, reject) => {
    new addon.WimJob('open', { paths: [wimPath], flags: 0 }, (_events, _question, ended, wim, error) => {
      if (ended) error ? reject(error) : resolve(wim)
    })
  })

/** Gives the result of a job, and feeds it `bytes`. */
const run = (create, bytes) =>
  new Promise((resolve, reject) => {
    const job = create(({ result, error }) => {
      if (error) reject(error)
      else if (result === undefined) job.take?.()
      else resolve(result)
    })
    job.push(bytes, new Uint32Array())
    job.finish()
  })

const layerJob = () =>
  run(
    heard =>
      new addon.LayerJob(
        undefined,
        new Uint32Array(),
        { path: scratch, offset: 0, compression: 'gzip', level: 6, threads: 3 },
        heard,
      ),
    Buffer.alloc(1 << 20),
  )
const layerReader = () =>
  run(
    heard => new addon.LayerReader({ name: 'layer', hash: 'none', whole: [], headSize: 0 }, heard),
    readFileSync(layerPath),
  )
const blobWrite = () =>
  run(
    heard =>
      new addon.BlobWriteJob({ path: scratch, handle: -1, offset: 0, held: 0, direct: false, plain: false }, heard),
    Buffer.alloc(3 << 20),
  )

async function attempt(name, work) {
  const began = performance.now()
  try {
    await work()
    seen.errors.push(`${name}: none`)
  } catch (error) {
    seen.errors.push(`${name}: ${error.code} ${error.message}`)
  }
  seen.slowest = Math.max(seen.slowest, performance.now() - began)
  globalThis.gc()
  await setImmediate()
  globalThis.gc()
}

writeFileSync(scratch, '')
writeFileSync(flag, '')
for (let n = 0; n < (process.env.ONLY === 'open' ? 1 : 8); n += 1) await attempt('open', open)
if (process.env.ONLY !== 'open')
  for (let n = 0; n < 3; n += 1) {
    await attempt('layer', layerJob)
    await attempt('reader', layerReader)
    await attempt('blob', blobWrite)
  }
rmSync(flag)
seen.images = (await open()).info().imageCount
seen.layer = (await layerJob()).uncompressedSize
seen.reader = (await layerReader()).uncompressedSize
seen.blob = await blobWrite()
console.log(JSON.stringify(seen))
