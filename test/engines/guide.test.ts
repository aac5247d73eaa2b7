/**
 * docs/guide.md, run from its first command to its last: its output is what the commands print, but for what differs each time.
 * `STOWAGE_WRITE_GUIDE=1` writes what they print into the page instead.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { richBaseWim, serveWeb } from '../support/base-images.js'
import { commandFile } from '../support/command.js'
import { startDebianEngine } from '../support/debian-engine.js'
import { runnableImage, writeLayout } from '../support/images.js'
import { plugInStick } from '../support/medium.js'

const PAGE = fileURLToPath(new URL('../../docs/guide.md', import.meta.url))
/** The page's names of places, which are elsewhere in the test. */
const [STICK, GALLERY] = ['/media/stick', 'http://images.example']

/** `office$ ls` and what it prints. */
interface Step {
  readonly place: 'office' | 'site'
  readonly command: string
  readonly output: string
}

/** The page as texts and steps, in their order. */
function parse(page: string): readonly (string | Step)[] {
  return page.split(/(```console\n[\s\S]*?```\n)/).flatMap((part): (string | Step)[] => {
    if (!part.startsWith('```console\n')) return [part]
    const steps = part
      .slice('```console\n'.length, -'```\n'.length)
      .split(/^(?=(?:office|site)\$ )/m)
      .map((text): Step => {
        const [, place, command, output] = /^(office|site)\$ (.*)\n([\s\S]*)$/.exec(text) ?? []
        if ((place !== 'office' && place !== 'site') || command === undefined || output === undefined)
          throw new Error(`no step of the guide: ${text}`)
        return { place, command, output }
      })
    return ['```console\n', ...steps, '```\n']
  })
}

/** What differs each time and says nothing: digests and IDs, ages, sizes of what is compressed, the width of columns, the engine's version. */
function settled(output: string, command: string): string {
  const text = output
    .replace(/\b(sha256:)?[0-9a-f]{64}\b/g, 'DIGEST')
    .replace(/\b[0-9a-f]{12}\b/g, 'ID')
    .replace(/(Less than a second|About an? \w+|\d+ \w+) ago/g, 'AGO')
    .replace(/\d+ hours?, \d+ minutes?, \d+ seconds?/g, 'TIME')
    .replace(/\b\d+(\.\d+)? ?[kMG]?B\b/g, 'SIZE')
    .replace(/^Docker \S+ runs/gm, 'Docker VERSION runs')
    .replace(/ +/g, ' ')
  // Images of the same age, and names of one image, have no order
  return / (images|uninstall) ?/.test(command) ? text.split('\n').sort().join('\n') : text
}

/** An index of two base images in several versions, the WIM files behind it, and what was asked for. */
async function startGallery(t: Test, directory: string): Promise<string> {
  const offers = [
    ['NanoServer', '10.0.14300.1000'],
    ['NanoServer', '10.0.14300.1010'],
    ['WindowsServerCore', '10.0.14300.1000'],
    ['WindowsServerCore', '10.0.14393.0'],
  ] as const
  const index = offers.map(([name, version]) => {
    const file = `${name}-${version}.wim`
    richBaseWim(t, join(directory, file), name, version)
    const bytes = readFileSync(join(directory, file))
    return {
      Name: name,
      Version: version,
      Description: `Container OS Image of ${name}`,
      SasToken: file,
      Sha256: createHash('sha256').update(bytes).digest('hex'),
      Size: bytes.length,
    }
  })
  return await serveWeb(t, (request, response) => {
    if (request.url === '/index.json') return void response.end(JSON.stringify(index))
    response.end(readFileSync(join(directory, new URL(request.url ?? '', 'http://x').pathname.slice(1))))
  })
}

/** A command `name` in `directory` that is `words`. */
function program(directory: string, name: string, ...words: readonly string[]): void {
  const file = join(directory, name)
  writeFileSync(file, `#!/bin/sh\nexec ${words.map(word => `'${word}'`).join(' ')} "$@"\n`)
  chmodSync(file, 0o755)
}

t.test(
  'the guide does what it says, from the gallery over a stick to a host without a network',
  { timeout: 400_000 },
  async t => {
    const root = mkdtempSync(join(tmpdir(), 'stowage-guide-'))
    t.teardown(() => rmSync(root, { recursive: true, force: true }))
    for (const name of ['bin', 'office', 'site', 'gallery']) mkdirSync(join(root, name))
    const engine = await startDebianEngine('trixie', 'containerd')
    t.teardown(() => engine.stop())
    const stick = await plugInStick(t, 256 << 20)
    const gallery = await startGallery(t, join(root, 'gallery'))
    await writeLayout(join(root, 'office', 'images'), { 'plant/pump:1.0': await runnableImage() })
    program(join(root, 'bin'), 'stowage', process.execPath, commandFile())
    program(join(root, 'bin'), 'docker', '/usr/bin/docker', '--host', engine.host)

    let at: Step['place'] = 'office'
    const run = async ({ place, command }: Step): Promise<string> => {
      if (place !== at) stick.carry()
      at = place
      const home = join(root, place)
      const own = {
        HOME: home,
        STOWAGE_CONFIG: join(home, 'config'),
        STOWAGE_STORE: join(home, 'store'),
        DOCKER_CONFIG: home,
        TMPDIR: root,
        COLUMNS: '200',
        LC_ALL: 'C.UTF-8',
      }
      const env = {
        ...own,
        PATH: `${join(root, 'bin')}:${process.env['PATH'] ?? ''}`,
        ...(place === 'site' ? { DOCKER_HOST: engine.host } : { DOCKER_HOST: 'unix:///nonexistent' }),
      }
      const words = [
        'bash',
        '-c',
        `{ ${command.replaceAll(STICK, stick.directory).replaceAll(GALLERY, gallery)}\n} 2>&1`,
      ]
      const [file = '', ...rest] = place === 'site' ? ['unshare', '--net', ...words] : words
      return await new Promise(resolve =>
        execFile(file, rest, { cwd: home, env }, (_error, stdout) =>
          resolve(
            stdout.replaceAll(stick.directory, STICK).replaceAll(gallery, GALLERY).replaceAll(home, `/home/${place}`),
          ),
        ),
      )
    }

    const written: string[] = []
    for (const part of parse(readFileSync(PAGE, 'utf8'))) {
      if (typeof part === 'string') {
        written.push(part)
        continue
      }
      const output = await run(part)
      written.push(`${part.place}$ ${part.command}\n${output}`)
      if (process.env['STOWAGE_WRITE_GUIDE'] === undefined)
        t.equal(settled(output, part.command), settled(part.output, part.command), part.command)
    }
    if (process.env['STOWAGE_WRITE_GUIDE'] !== undefined) writeFileSync(PAGE, written.join(''))
    t.equal((await engine.docker('images', '--quiet')).stdout, '', 'all that was installed and made is gone again')
    t.ok(statSync(join(stick.directory, 'wims')).isDirectory(), 'and the stick has it still')
  },
)
