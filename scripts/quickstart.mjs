/** Sets up and carries two sample images the whole way: layer, pack, verify, load. All it makes is in `quickstart/`. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { ROOT } from './build.mjs'
import { setup } from './setup.mjs'

const WORK = join(ROOT, 'quickstart')
const WIM = join('fixtures', 'nanoserver-sample.wim')
const BUNDLE = 'quickstart/site-a'

setup('build')
rmSync(WORK, { recursive: true, force: true })
mkdirSync(WORK)

say('A base OS WIM becomes a Windows container layer.')
stowage('layer', 'from-wim', WIM, '-o', 'quickstart/layer.tar.gz')
shell('tar --warning=no-unknown-keyword -tf quickstart/layer.tar.gz | tail -n 4')

say('A small Linux image joins it, as an OCI layout on disk.')
run('node', ['fixtures/make/linux-image.mjs', 'quickstart/hello'])

say('Both are packed into one bundle: as a directory, and as one file.')
stowage('pack', 'oci:quickstart/hello', `wim:${WIM}`, '-o', BUNDLE)
stowage('pack', 'oci:quickstart/hello', `wim:${WIM}`, '-o', `${BUNDLE}.tar`)

say('At the security desk the bundle is verified, by Stowage and by coreutils alone.')
stowage('verify', BUNDLE)
stowage('verify', `${BUNDLE}.tar`)
shell(`cd ${BUNDLE} && sha256sum -c --quiet SHA256SUMS && echo SHA256SUMS: OK`)

say('On the disconnected host it is loaded: first into the embedded store, an OCI layout in a directory.')
stowage('load', BUNDLE, '--to', 'oci:')
run('ls', ['quickstart/store'])

const engine = await askEngine('/info')
if (engine) loadIntoEngine(engine)
else say('No Docker Engine answers (DOCKER_HOST or /var/run/docker.sock): the store above is where both images are.')

say('Done. All that was made is in quickstart/.')

/** An engine that keeps images unpacked has no place for one of another system; one with the containerd store has. */
function loadIntoEngine({ DriverStatus: status, ServerVersion: version, OSType: os }) {
  const keepsAll = (status ?? []).some(([, value]) => value === 'io.containerd.snapshotter.v1')
  say(`Docker Engine ${version} answers: the bundle is loaded there too.`)
  if (keepsAll) {
    stowage('load', BUNDLE)
  } else {
    say(`This engine runs ${os} and keeps images unpacked (no containerd store), so it is given the ${os} image only.`)
    stowage('load', BUNDLE, '--platform', `${os}/${architecture()}`)
  }
  if (has('docker')) run('docker', ['images'])
  else say('The docker command is not installed, so `docker images` is not shown.')
}

/** What the engine's API says at `path`, or undefined when none answers. TLS and ssh are left to docker's own command. */
async function askEngine(path) {
  const host = process.env.DOCKER_HOST || 'unix:///var/run/docker.sock'
  const address = /^unix:\/\/(.+)$/.exec(host)
  if (!address && !/^tcp:/.test(host)) {
    if (!has('docker')) return undefined
    const { status, stdout } = spawnSync('docker', ['info', '--format', '{{json .}}'], { encoding: 'utf8' })
    return status === 0 ? JSON.parse(stdout) : undefined
  }
  const url = new URL(address ? 'http://localhost' : host.replace('tcp:', 'http:'))
  return await new Promise(resolve => {
    const place = address ? { socketPath: address[1] } : { host: url.hostname, port: url.port || 2375 }
    const request = get({ ...place, path, timeout: 5000 })
    request.on('error', () => resolve(undefined))
    request.on('timeout', () => request.destroy())
    request.on('response', answer => {
      if (answer.statusCode === 200) json(answer).then(resolve, () => resolve(undefined))
      else request.destroy()
    })
  })
}

function architecture() {
  return { x64: 'amd64', ia32: '386' }[process.arch] ?? process.arch
}

function stowage(...args) {
  run('stowage', args)
}

function shell(script) {
  run('sh', ['-c', script], script)
}

/** Shows a command and runs it; its failure ends the quickstart. */
function run(name, args, shown = [name, ...args].join(' ')) {
  console.log(`$ ${shown}`)
  const command =
    name === 'stowage' ? [process.execPath, join(ROOT, 'dist', 'cli', 'main.js'), ...args] : [name, ...args]
  const { status, signal, error } = spawnSync(command[0], command.slice(1), {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, STOWAGE_STORE: join(WORK, 'store') },
  })
  if (status === 0) return
  const end = error?.message ?? (signal ? `ended by ${signal}` : `exited with status ${status}`)
  console.error(`quickstart: \`${shown}\`: ${end}`)
  process.exit(1)
}

function has(name) {
  return !spawnSync(name, ['--version']).error
}

function say(text) {
  console.log(`\n# ${text}`)
}
