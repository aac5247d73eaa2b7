/** A real Docker Engine behind a named pipe of Windows, run by Wine: where Docker Desktop and dockerd for Windows listen. */
import { createServer, connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { startEngine } from '../support/engine.js'
import { GREETING, runnableImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'
import { onDrive, openWindows, windowsPath } from '../support/wine.js'

const windows = openWindows(t)
const engine = await startEngine()
t.teardown(async () => await engine.stop())
const layout = join(scratch(t), 'layout')
const image = await runnableImage()
await writeLayout(layout, { 'shop:1': image })

/** Joins two connections, each end by itself. */
const JOIN = `const join = (a, b) => { a.pipe(b); b.pipe(a); a.on('error', () => b.destroy()); b.on('error', () => a.destroy()) }`

/** Has node.exe listen on a pipe, and pass on what comes to the engine: over loopback, for Windows has no sockets of Unix. */
async function openPipe(name: string): Promise<void> {
  const relay = createServer({ allowHalfOpen: true }, near => {
    const far = connect({ path: engine.host.slice('unix://'.length), allowHalfOpen: true })
    near.pipe(far)
    far.pipe(near)
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const)
      one.on('error', () => other.destroy())
  })
  await new Promise<void>(resolve => relay.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void relay.close())
  const { port } = relay.address() as AddressInfo
  const script = `const net = require('net'); ${JOIN}
    net.createServer({ allowHalfOpen: true }, near => join(near, net.connect({ port: ${port}, host: '127.0.0.1', allowHalfOpen: true })))
      .listen('\\\\\\\\.\\\\pipe\\\\${name}', () => console.log('listening'))`
  await windows.start(['-e', script]).said(/listening/)
}

t.test('an image is loaded through the named pipe of Docker, is proved, and runs', async t => {
  await openPipe('docker_engine')
  const { there } = onDrive(windows, 'engine')
  t.match(await windows.stowage(['pack', `oci:${windowsPath(layout)}:shop:1`, '-o', `${there}\\bundle`]), { code: 0 })
  const loaded = await windows.stowage(['load', `${there}\\bundle`])
  t.equal(loaded.code, 0, loaded.stderr)
  t.match(await engine.docker('run', '--rm', '--network=none', 'shop:1'), { stdout: new RegExp(GREETING) })
  const again = await windows.stowage(['load', `${there}\\bundle`])
  t.equal(again.code, 0, again.stderr)

  t.match(await windows.stowage(['images']), { code: 0, stdout: /^shop +1 /m })
  t.match(await windows.stowage(['rmi', 'shop:1']), { code: 0 })
  t.notMatch((await engine.docker('images')).stdout, /shop/)
})

t.test('a pipe of any name is an engine for --host and DOCKER_HOST', async t => {
  await openPipe('stowage-test')
  const { there } = onDrive(windows, 'named')
  const host = 'npipe:////./pipe/stowage-test'
  t.match(await windows.stowage(['pack', `oci:${windowsPath(layout)}:shop:1`, '-o', `${there}\\b.tar`]), { code: 0 })
  t.match(await windows.stowage(['load', `${there}\\b.tar`, '--host', host]), { code: 0 })
  const exported = await windows.stowage(['pack', 'docker-daemon:shop:1', '-o', `${there}\\exported`], {
    env: { DOCKER_HOST: host },
  })
  t.equal(exported.code, 0, exported.stderr)
  t.match(await windows.stowage(['verify', `${there}\\exported`]), { code: 0 })
})
