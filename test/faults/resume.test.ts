/**
 * Commands that are interrupted in the third of four layers: the same command asks for none of the first two again, gives
 * the bytes of an undisturbed run, and until then nothing passes for an output. Needs root.
 */
import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { verifyBundle } from '../../src/bundle/verify.js'
import { copy } from '../../src/verbs/copy.js'
import { inspect } from '../../src/verbs/inspect.js'
import { pack } from '../../src/verbs/pack.js'
import { prune } from '../../src/verbs/prune.js'
import { stowage } from '../support/command.js'
import { layeredImage } from '../support/images.js'
import { mount } from '../support/medium.js'
import { type Fault, pushWithSkopeo, startFaultyProxy, startRegistry } from '../support/registry.js'
import { scratch } from '../support/scratch.js'

const SIZE = 1_500_000
/** Of the file systems, in bytes: enough for a bundle and the plain tar of a compressed one. */
const MEDIUM = 40_000_000
const registry = await startRegistry(t)
const image = await layeredImage(4, { size: SIZE })
const layers = image.layers.map(({ digest }) => digest)
await pushWithSkopeo(t, registry, 'team/shop:2.3', image)

interface Form {
  /** The command; `source` is the image in the registry, `output` is in a directory of its own. */
  readonly words: (source: string, output: string) => readonly string[]
  /** The same in this process, which takes a tenth of the time. */
  readonly call: (source: string, output: string, signal?: AbortSignal) => Promise<unknown>
  readonly output: string
  /** What is said to stay. */
  readonly stays: RegExp
  /** Locations that must not be taken for an image, and the words of commands that must fail. */
  readonly refused: (output: string) => readonly (string | readonly string[])[]
}

const packs = (volumeSize?: number): Pick<Form, 'words' | 'call'> => ({
  words: (source, output) => [
    ...['pack', source, '-t', 'shop:2.3', '-o', output, '--jobs', '1'],
    ...(volumeSize === undefined ? [] : ['--volume-size', String(volumeSize)]),
  ],
  call: async (source, output, signal) =>
    await pack([{ image: source, names: ['shop:2.3'] }], output, { jobs: 1, volumeSize, signal }),
})
const copies = (scheme: string): Pick<Form, 'words' | 'call'> => ({
  words: (source, output) => ['copy', source, `${scheme}:${output}`, '-t', 'shop:2.3', '--jobs', '1'],
  call: async (source, output, signal) =>
    await copy(source, `${scheme}:${output}`, { name: 'shop:2.3', jobs: 1, signal }),
})

const FORMS: Readonly<Record<string, Form>> = {
  'pack into a directory': {
    ...packs(),
    output: 'site',
    stays: /The blobs copied so far stay in \S+site, marked INCOMPLETE\./,
    refused: output => [
      `bundle:${output}`,
      ['sha256sum', '--check', '--strict', join(output, 'SHA256SUMS')],
      ['skopeo', 'inspect', `oci:${output}:shop:2.3`],
    ],
  },
  'pack into a tar': {
    ...packs(),
    output: 'x.tar',
    stays: /What was copied so far stays in \S+x\.tar\.partial \([3-5]\.?\d*MB\), which stowage prune \S+ removes\./,
    refused: output => [
      `bundle:${output}`,
      `bundle:${output}.partial`,
      ['skopeo', 'inspect', `docker-archive:${output}.partial`],
      ['skopeo', 'inspect', `oci-archive:${output}.partial`],
    ],
  },
  'pack into a compressed tar': {
    ...packs(),
    output: 'x.tar.gz',
    stays: /stays in \S+x\.tar\.gz\.tar\.partial \([3-5]\.?\d*MB\), which stowage prune \S+ removes\./,
    refused: output => [
      `bundle:${output}`,
      `bundle:${output}.partial`,
      `bundle:${output}.tar.partial`,
      ['skopeo', 'inspect', `docker-archive:${output}.tar.partial`],
    ],
  },
  'pack into volumes': {
    ...packs(1024 * 1024),
    output: 'x.tar',
    stays: /What is written of \S+x\.tar\.001 and the volumes after it stays\./,
    refused: output => [
      `bundle:${output}.001`,
      ['sha256sum', '--check', '--strict', output.replace('.tar', '.volumes.sha256')],
    ],
  },
  'copy to a layout': {
    ...copies('oci'),
    output: 'store',
    stays: /The blobs copied so far stay in \S+store; stowage prune \S+store removes those that are not whole\./,
    refused: output => [['skopeo', 'inspect', `oci:${output}`], `oci:${output}:shop:2.3`],
  },
  ...Object.fromEntries(
    ['docker-archive', 'oci-archive'].map(scheme => [
      `copy to ${scheme}:`,
      {
        ...copies(scheme),
        output: 'x.tar',
        stays:
          /What was copied so far stays in \S+x\.tar\.partial \([3-5]\.?\d*MB\), which stowage prune \S+ removes\./,
        refused: (output: string) => [
          ['skopeo', 'inspect', `${scheme}:${output}.partial`],
          `${scheme}:${output}.partial`,
        ],
      },
    ]),
  ),
}

type Interruption = 'kill -9' | 'Ctrl-C' | 'a full disk' | 'a lost network' | 'an unplugged medium'

/** Those that a command ends by itself after. */
const EVENTS = {
  'Ctrl-C': { code: 'ABORTED', once: /Run the same command again to resume\.$/ },
  'a full disk': { code: 'NO_SPACE', once: /Once there is room, the same command resumes\./ },
  'a lost network': {
    code: 'REGISTRY_UNREACHABLE',
    once: /Once the registry can be reached, the same command resumes\.$/,
  },
} as const

async function whole(path: string): Promise<void> {
  const { findings } = await verifyBundle(path)
  if (findings[0]) throw new Error(findings[0].message)
}

/** Every file below `directory` with its SHA-256. */
function listing(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(name => name !== 'lost+found' && statSync(join(directory, name)).isFile())
    .map(
      name =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(directory, name)))
          .digest('hex')}`,
    )
    .sort()
}

function room(directory: string): number {
  const { bavail, bsize } = statfsSync(directory)
  return bavail * bsize
}

/** Interrupts the form in its third layer, and runs it again. */
async function interrupted(t: Test, form: Form, event: Interruption, expected: readonly string[]): Promise<void> {
  const medium =
    event === 'a full disk'
      ? await mount(t, 'tmpfs', MEDIUM)
      : event === 'an unplugged medium'
        ? await mount(t, 'ext4', MEDIUM)
        : scratch(t)
  const output = join(medium, form.output)
  const controller = new AbortController()
  let child: ChildProcess | undefined
  let [happened, lost] = [false, false]
  const asked: string[] = []
  const happen: Record<Interruption, () => void> = {
    'kill -9': () => child?.kill('SIGKILL'),
    'Ctrl-C': () => controller.abort(),
    'a full disk': () => writeFileSync(join(medium, 'filler'), Buffer.alloc(room(medium) - 500_000)),
    'a lost network': () => (lost = true),
    'an unplugged medium': () => execFileSync('umount', ['--lazy', medium]),
  }
  const fault: Fault = (request, response) => {
    const layer = layers.find(digest => request.method === 'GET' && request.url?.endsWith(digest))
    if (layer && asked.at(-1) !== layer) asked.push(layer)
    if (!happened && asked.length === 3) {
      happened = true
      happen[event]()
      if (event === 'kill -9' || event === 'Ctrl-C') return 'answered' // nothing comes any more
    }
    if (!lost) return undefined
    response.destroy()
    return 'answered'
  }
  const proxy = await startFaultyProxy(t, registry, fault)
  const source = `docker://${proxy.domain}/team/shop:2.3`
  if (event === 'kill -9' || event === 'an unplugged medium') {
    const { code } = await stowage(form.words(source, output), { onSpawn: running => (child = running) })
    t.not(code, 0, event)
    if (event === 'an unplugged medium') execFileSync('mount', ['-o', 'loop', join(medium, '..', 'image'), medium])
  } else {
    await t.rejects(form.call(source, output, controller.signal), {
      code: EVENTS[event].code,
      hint: new RegExp(`${form.stays.source} ${EVENTS[event].once.source}`),
    })
  }
  t.equal(happened, true, event)
  lost = false
  rmSync(join(medium, 'filler'), { force: true })
  if (event === 'kill -9') {
    for (const judge of form.refused(output)) {
      if (typeof judge === 'string') {
        await t.rejects(inspect(judge), judge)
        if (judge.startsWith('bundle:')) await t.rejects(whole(judge.slice('bundle:'.length)), judge)
      } else t.not(spawnSync(judge[0]!, judge.slice(1)).status, 0, judge.join(' '))
    }
  }
  const first = asked.splice(0).slice(0, 2)
  await form.call(source, output)
  t.same(
    asked.filter(digest => first.includes(digest)),
    [],
    `${event}: what was whole is not asked for again`,
  )
  t.same(listing(medium), expected, `${event}: the output is that of an undisturbed run`)
  const places = [medium, ...(existsSync(join(output, 'blobs')) ? [output] : [])]
  const { workspaces, files } = await prune(places, { dryRun: true })
  t.same([...workspaces, ...files], [], `${event}: nothing else is left`)
}

const undisturbed = new Map<Form, readonly string[]>()
const INTERRUPTIONS = ['kill -9', 'Ctrl-C', 'a full disk', 'an unplugged medium'] as const
/** Half of them for each form, in turn; `npm run test:kills` sets STOWAGE_EVERY_EVENT. */
const everyEvent = process.env['STOWAGE_EVERY_EVENT'] !== undefined

for (const [number, [name, form]] of Object.entries(FORMS).entries()) {
  t.test(`${name} goes on after interruptions`, async t => {
    const plain = scratch(t)
    await form.call(`docker://${registry.domain}/team/shop:2.3`, join(plain, form.output))
    const expected = listing(plain)
    undisturbed.set(form, expected)
    for (const event of INTERRUPTIONS.filter((_, n) => everyEvent || (n + number) % 2 === 0))
      await interrupted(t, form, event, expected)
  })
}

t.test('every form goes on once the network is there again', async t => {
  // At once: each waits for the network for some seconds before it gives up
  await Promise.all([...undisturbed].map(async ([form, files]) => await interrupted(t, form, 'a lost network', files)))
})
