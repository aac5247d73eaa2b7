/**
 * `npm run bench -- inventory`: lists an engine's 500 images with their layers, beside `docker image inspect`. It starts an
 * engine of its own: needs root, and `dockerd` and `docker` in PATH.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { measure, median } from './measure.mjs'

const MAIN = resolve(import.meta.dirname, '..', 'dist', 'cli', 'main.js')
const IMAGES = 500
const SHARED = 3
const sha256 = bytes => createHash('sha256').update(bytes).digest('hex')

export async function benchInventory({ report, quick }) {
  if (spawnSync('dockerd', ['--version']).error || spawnSync('docker', ['--version']).error)
    throw new Error('bench: dockerd and docker, on Debian in docker.io, are needed')
  const work = mkdtempSync(join(tmpdir(), 'stowage-bench-inventory-'))
  const engine = await startEngine(work)
  try {
    console.error(`bench: loading ${IMAGES} images, about ${IMAGES / 5} s`)
    const images = quick ? IMAGES / 10 : IMAGES
    const loaded = spawnSync('docker', ['-H', engine.address, 'load', '-q', '-i', makeArchive(work, images)])
    if (loaded.status !== 0) throw new Error(`bench: docker load: ${loaded.stderr}`)
    const list = join(work, 'site.json')
    const pairs = await report.alternate(
      `inventory of ${images} images`,
      () => {
        rmSync(list, { force: true })
        return measure(process.execPath, [MAIN, 'inventory', '--host', engine.address, '-o', list, '--quiet'], {
          quiet: true,
        })
      },
      () => {
        const script = 'docker -H "$1" image ls -q --no-trunc | xargs docker -H "$1" image inspect'
        return measure('sh', ['-c', script, 'sh', engine.address], { quiet: true })
      },
    )
    const { size } = statSync(list)
    report.row(
      `inventory of an engine, ${images} images`,
      'docker image inspect',
      pairs,
      `${Math.ceil(size / 1000)} kB`,
    )
    report.promise(size < 200_000, `an inventory of ${images} images is under 200 kB: ${size} bytes`)
    const seconds = median(pairs.map(({ ours }) => ours.seconds))
    report.promise(seconds < 1, `an inventory of ${images} images in under a second: ${seconds.toFixed(2)} s`)
  } finally {
    await engine.end()
    rmSync(work, { recursive: true, force: true })
  }
}

async function startEngine(work) {
  const address = `unix://${join(work, 'docker.sock')}`
  const words = ['--data-root', 'root', '--exec-root', 'exec', '--pidfile', 'pid'].map(word =>
    word.startsWith('--') ? word : join(work, word),
  )
  const daemon = spawn('dockerd', ['-H', address, ...words, '--bridge=none', '--iptables=false', '--ip-masq=false'], {
    stdio: 'ignore',
  })
  const ended = new Promise(resolve => daemon.once('exit', resolve))
  const end = async () => {
    daemon.kill()
    await ended
  }
  for (let n = 0; n < 150; n++) {
    if (spawnSync('docker', ['-H', address, 'version']).status === 0) return { address, end }
    await sleep(200)
  }
  await end()
  throw new Error('bench: dockerd does not answer after 30 s')
}

/** Path of an archive of `docker save` with images that share three layers, and have one of their own. */
function makeArchive(work, images) {
  const tree = join(work, 'archive')
  mkdirSync(tree)
  const put = (name, bytes) => {
    writeFileSync(join(tree, name), bytes)
    return name
  }
  const layer = name => {
    writeFileSync(join(work, name), name)
    const tar = spawnSync('tar', ['-C', work, '--format=ustar', '-cf', '-', name]).stdout
    rmSync(join(work, name))
    return { file: put(`${name}.tar`, tar), diffId: `sha256:${sha256(tar)}` }
  }
  const shared = Array.from({ length: SHARED }, (_, n) => layer(`shared-${n}`))
  const manifest = Array.from({ length: images }, (_, n) => {
    const layers = [...shared, layer(`own-${n}`)]
    const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) }
    const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs }))
    return {
      Config: put(`${sha256(config)}.json`, config),
      RepoTags: [`bench/app${n}:1`],
      Layers: layers.map(({ file }) => file),
    }
  })
  put('manifest.json', Buffer.from(JSON.stringify(manifest)))
  const archive = join(work, 'archive.tar')
  spawnSync('tar', ['-C', tree, '--format=ustar', '-cf', archive, '.'])
  return archive
}
