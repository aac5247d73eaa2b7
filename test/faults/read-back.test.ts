/** What was written is read back from the medium: sticks that lie about their size, or lose writes. Needs root. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { parseVersion } from '../../src/base-image/version.js'
import { saveImage } from '../../src/base-image/save.js'
import type { ProgressEvent } from '../../src/progress.js'
import { copy } from '../../src/verbs/copy.js'
import { pack } from '../../src/verbs/pack.js'
import { joinVolumes, splitBundle } from '../../src/verbs/volumes.js'
import { SAMPLE } from '../support/base-images.js'
import { commandFile, stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { plugInLiar } from '../support/lying-medium.js'
import { mount } from '../support/medium.js'
import { scratch } from '../support/scratch.js'

const MEBIBYTE = 1024 * 1024
/** More than the media have, and less than they claim. */
const root = t.testdir()
const layout = join(root, 'layout')
await writeLayout(layout, { 'big:1': await layeredImage(3, { size: 8_000_000 }) })
const tar = join(root, 'x.tar')
await pack([`oci:${layout}`], tar, { epoch: 0 })
await splitBundle(tar, join(root, 'cut.tar'), { volumeSize: 4 * MEBIBYTE })
const wim = Buffer.concat([readFileSync(SAMPLE), readFileSync(tar)]) // a WIM may have more behind it than it names
writeFileSync(join(root, 'NanoServer.wim'), wim)

interface Written {
  /** Whether it is written past the page cache, so that a plain read finds what was lost. */
  readonly direct?: boolean
  /** Relative to the medium, while it is read back and has no name yet. */
  readonly plain: (directory: string) => string
  readonly write: (directory: string, onProgress: (event: ProgressEvent) => void) => Promise<unknown>
}

const sum = (...paths: readonly string[]): string =>
  execFileSync('sh', ['-c', 'cat "$@" | sha256sum', 'sh', ...paths], { encoding: 'utf8' }).slice(0, 64)
const volumes = (directory: string): readonly string[] =>
  readdirSync(directory)
    .filter(name => /\.tar\.0\d+(?:\.partial)?$/.test(name))
    .sort()
    .map(name => join(directory, name))
const options = { epoch: 0, verify: true }

/** What each form is, with what a plain read of it must say if the medium kept it. */
const FORMS: Readonly<Record<string, Written>> = {
  'a tar': {
    plain: directory => (sum(join(directory, 'x.tar.partial')) === sum(tar) ? 'fine' : 'other'),
    write: async (directory, onProgress) =>
      await pack([`oci:${layout}`], join(directory, 'x.tar'), { ...options, onProgress }),
  },
  'a compressed tar': {
    plain: directory => {
      const { status } = spawnSync('gzip', ['-t', '-S', '.partial', join(directory, 'x.tar.gz.partial')])
      return status === 0 ? 'fine' : 'other'
    },
    write: async (directory, onProgress) =>
      await pack([`oci:${layout}`], join(directory, 'x.tar.gz'), { ...options, onProgress }),
  },
  'a directory': {
    direct: true,
    plain: directory => {
      const { status } = spawnSync('sha256sum', ['--check', '--quiet', 'SHA256SUMS'], { cwd: join(directory, 'site') })
      return status === 0 ? 'fine' : 'other'
    },
    write: async (directory, onProgress) =>
      await pack([`oci:${layout}`], join(directory, 'site'), { ...options, onProgress }),
  },
  volumes: {
    plain: directory => (sum(...volumes(directory)) === sum(tar) ? 'fine' : 'other'),
    write: async (directory, onProgress) =>
      await splitBundle(tar, join(directory, 'x.tar'), { volumeSize: 4 * MEBIBYTE, verify: true, onProgress }),
  },
  'volumes that are joined': {
    plain: directory => (sum(join(directory, 'x.tar.partial')) === sum(tar) ? 'fine' : 'other'),
    write: async (directory, onProgress) =>
      await joinVolumes([join(root, 'cut.tar.001')], join(directory, 'x.tar'), { verify: true, onProgress }),
  },
  'an archive': {
    plain: directory => {
      const { status } = spawnSync('tar', ['-tf', join(directory, 'x.tar.partial')])
      return status === 0 ? 'fine' : 'other'
    },
    write: async (directory, onProgress) =>
      await copy(`oci:${layout}`, `docker-archive:${join(directory, 'x.tar')}`, { ...options, onProgress }),
  },
  'a WIM': {
    plain: directory => {
      const [partial = ''] = readdirSync(directory).filter(name => name.endsWith('.partial'))
      return sum(join(directory, partial)) === sum(join(root, 'NanoServer.wim')) ? 'fine' : 'other'
    },
    write: async (directory, onProgress) => {
      const content = { type: 'file', path: join(root, 'NanoServer.wim'), sha256: undefined, size: wim.length } as const
      const about = { name: 'NanoServer', version: parseVersion('10.0.14300.1010'), summary: '', source: 'lab' }
      return await saveImage({ ...about, architecture: undefined, content }, directory, { verify: true, onProgress })
    },
  },
}

/**
 * Runs `write`, and what a plain read says once everything is written: again if the system had too little memory to keep
 * what was written.
 */
async function written(
  form: Written,
  directory: string,
  tries = 3,
): Promise<{ readonly error: unknown; readonly plain: string }> {
  let plain = ''
  const error: unknown = await form
    .write(directory, event => {
      if (plain === '' && event.type === 'stage' && event.stage === 'verify') plain = form.plain(directory)
    })
    .then(
      () => undefined,
      (failure: unknown) => failure,
    )
  if (plain === 'fine' || form.direct || tries === 1) return { error, plain }
  for (const name of readdirSync(directory))
    if (name !== 'lost+found') rmSync(join(directory, name), { recursive: true })
  return await written(form, directory, tries - 1)
}

/** What is there under a name that says that it is complete. */
function complete(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(
    name =>
      statSync(join(directory, name)).isFile() &&
      !name.endsWith('.partial') &&
      !/\.volume-\d+\.json$|\.wim\.sha256$/.test(name),
  )
}

for (const [name, form] of Object.entries(FORMS)) {
  t.test(`${name} on a medium that claims more than it has is found out, even if a plain read is fine`, async t => {
    const { directory } = await plugInLiar(t, { claims: 64, has: 12 })
    const { error, plain } = await written(form, directory)
    t.equal(plain, form.direct ? 'other' : 'fine', 'the system remembers what the medium has lost')
    t.match(error, { code: 'MEDIUM_FAILED', message: /the medium has sha256:\w{64} instead of sha256:\w{64}/ })
    t.same(complete(directory), [], 'and nothing looks whole')
  })
}

t.test('a medium that keeps what is written gives every form back', async t => {
  const directory = await mount(t, 'ext4', 256 * MEBIBYTE)
  for (const [name, form] of Object.entries(FORMS)) {
    const place = join(directory, name.replaceAll(' ', '-'))
    mkdirSync(place)
    t.same(await written(form, place), { error: undefined, plain: 'fine' }, name)
    t.not(complete(place).length, 0)
  }
})

t.test('a medium that loses some writes', async t => {
  const { directory, loseWrites } = await plugInLiar(t, { claims: 64, has: 64 })
  loseWrites()
  const { error, plain } = await written(FORMS['a tar']!, directory)
  t.equal(plain, 'fine')
  t.match(error, { code: 'MEDIUM_FAILED' })
})

t.test('a medium that begins again at its start loses the volumes that were there before', async t => {
  const { directory } = await plugInLiar(t, { claims: 64, has: 20, beyond: 'wrap' })
  const { error, plain } = await written(FORMS['volumes']!, directory)
  t.equal(plain, 'fine')
  t.match(error, { code: 'MEDIUM_FAILED' })
  t.same(complete(directory), [])
})

t.test('a program that is the file system has a cache of its own, which is dropped too', async t => {
  const { directory } = await plugInLiar(t, { claims: 64, has: 12, type: 'exfat' })
  const { error, plain } = await written(FORMS['a tar']!, directory)
  t.equal(plain, 'fine')
  t.match(error, { code: 'MEDIUM_FAILED' })
})

t.test(
  'stowage pack - without --verify, a lost bundle is taken for good until the stick is plugged in again',
  async t => {
    const medium = await plugInLiar(t, { claims: 64, has: 12 })
    const output = join(medium.directory, 'site.tar')
    const env = { SOURCE_DATE_EPOCH: '0' }
    for (let tries = 3; tries > 0; tries--) {
      rmSync(output, { force: true })
      t.match(await stowage(['pack', `oci:${layout}`, '-o', output, '--no-verify'], { env }), { code: 0 })
      if (sum(output) === sum(tar)) break // unless there was too little memory to keep it
      t.not(tries, 1, 'a plain read finds nothing')
    }
    medium.replug()
    t.not(sum(output), sum(tar))
    rmSync(output)
    const { code, stderr } = await stowage(['pack', `oci:${layout}`, '-o', output, '--verify'], { env })
    t.equal(code, 11)
    t.match(
      stderr,
      /^stowage: \S+site\.tar, bytes \d+ to \d+: the medium has sha256:\w+ instead of sha256:\w+, which was/,
    )
    t.match(stderr, /\nhint: The medium loses data: .*Use another, and run the command again\./)
  },
)

t.test('where O_DIRECT is refused, the pages are dropped', async t => {
  const preload = join(scratch(t), 'no-direct.so')
  execFileSync('cc', ['-shared', '-fPIC', '-o', preload, join(import.meta.dirname, 'no-direct.c'), '-ldl'])
  const env = { LD_PRELOAD: preload }
  const liar = await plugInLiar(t, { claims: 64, has: 12 })
  const words = (directory: string) => ['pack', `oci:${layout}`, '-o', join(directory, 'x.tar'), '--verify', '--json']
  t.match(await stowage(words(liar.directory), { env }), { code: 11, stdout: /the medium has sha256:/ })
  const honest = await stowage(words(await mount(t, 'ext4', 64 * MEBIBYTE)), { env })
  t.match(JSON.parse(honest.stdout), { verified: { fromMedium: true } })
  // A file system in memory keeps its pages, and says so
  const memory = await stowage(words(await mount(t, 'tmpfs', 64 * MEBIBYTE)), { env })
  t.match(JSON.parse(memory.stdout), { verified: { fromMedium: false } })
})

t.test('Ctrl-C while it is read back leaves nothing that looks whole, and volumes go on from there', async t => {
  const medium = await plugInLiar(t, { claims: 64, has: 64 })
  medium.slowDown()
  const output = join(medium.directory, 'x.tar')
  for (const [words, place, left] of [
    [
      ['pack', `oci:${layout}`, '-o', join(medium.directory, 'site')],
      join(medium.directory, 'site'),
      /^blobs,INCOMPLETE|^INCOMPLETE,blobs/,
    ],
    [['pack', `oci:${layout}`, '-o', join(medium.directory, 'y.tar')], medium.directory, /^site,y\.tar\.partial$/],
    [['split', tar, '-o', output, '--volume-size', '4MiB'], medium.directory, /partial/],
  ] as const) {
    t.match(await stowage(['prune', medium.directory]), { code: 0 }, 'to have the space of the tar')
    let sent = false
    const { code, stderr } = await stowage([...words, '--verify', '--progress', 'json'], {
      onStderr(child, text) {
        if (sent || !text.includes('"stage":"verify"')) return
        sent = true
        child.kill('SIGINT')
      },
    })
    t.equal(code, 130, stderr)
    t.match(stderr, /stowage: interrupted before the end/)
    const names = readdirSync(place).filter(name => name !== 'lost+found')
    t.match(names.join(), left)
    t.notOk(
      names.some(name => /\.tar(?:\.\d+)?$|SHA256SUMS$/.test(name)),
      names.join(),
    )
  }
  const whole = await stowage(['split', tar, '-o', output, '--volume-size', '4MiB', '--no-verify', '--json'])
  t.match(JSON.parse(whole.stdout), { unchanged: false, count: 6 })
  t.equal(sum(...volumes(medium.directory)), sum(tar))
})

t.test('volumes that were there are read again if something is written after them, and only then', async t => {
  const directory = scratch(t)
  const output = join(directory, 'x.tar')
  const split = async (): Promise<readonly string[]> => {
    const subjects = new Set<string>()
    await splitBundle(tar, output, {
      volumeSize: 4 * MEBIBYTE,
      verify: true,
      onProgress: event => void (event.type === 'stage' && event.stage === 'verify' && subjects.add(event.subject)),
    })
    return [...subjects].map(subject => basename(subject))
  }
  const all = ['x.tar.001', 'x.tar.002', 'x.tar.003', 'x.tar.004', 'x.tar.005', 'x.tar.006']
  t.same(await split(), all)
  t.same(await split(), [])
  rmSync(join(directory, 'x.tar.004'))
  t.same(await split(), all.slice(0, 4), 'those after it are compared after it is written')
})

t.test('volumes that were not read back yet are gone on from, also on the second medium', async t => {
  const directory = scratch(t)
  await splitBundle(tar, join(directory, 'x.tar'), { volumeSize: 4 * MEBIBYTE })
  for (const path of readdirSync(directory).filter(name => /00[123456]|sums|sha256/.test(name))) {
    if (path === 'x.tar.004') renameSync(join(directory, path), join(directory, `${path}.partial`))
    else if (path !== 'x.volume-004.json') rmSync(join(directory, path))
  }
  const notices: string[] = []
  const onNotice = (text: string): void => void notices.push(text)
  await splitBundle(tar, join(directory, 'x.tar'), { volumeSize: 4 * MEBIBYTE, verify: true, onNotice })
  t.match(notices, ['going on after x.tar.003, which is on another medium'])
  t.same(complete(directory).toSorted(), ['x.tar.004', 'x.tar.005', 'x.tar.006', 'x.volumes.sha256'])
  execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'x.volumes.sha256'], { cwd: directory })
})

t.test('a removable medium is read back by itself', async t => {
  // The system's own list of devices cannot be changed; the command runs where another is in its place
  const fake = scratch(t)
  const directory = await mount(t, 'ext4', 128 * MEBIBYTE)
  const { dev } = statSync(directory)
  const number = `${(dev >> 8) & 0xfff}:${dev & 0xff}`
  const devices = join(fake, 'dev')
  mkdirSync(devices)
  const disks = {
    'pci0000:00/usb2/2-1/block/sdb/sdb1': {},
    'pci0000:00/block/sdb/sdb1': { '../removable': '1' },
    'mmc_host/mmc0/block/mmcblk0/mmcblk0p1': { '../device/type': 'SD' },
    'virtual/block/dm-0': { 'slaves/sdc1/partition': '1', 'slaves/removable': '1' },
    'pci0000:00/block/sda/sda1': { '../removable': '0' },
    'mmc_host/mmc1/block/mmcblk1/mmcblk1p1': { '../device/type': 'MMC' },
  }
  for (const [n, [path, files]] of Object.entries(Object.entries(disks))) {
    const place = join(fake, 'devices', path)
    mkdirSync(place, { recursive: true })
    if (!path.includes('virtual')) writeFileSync(join(place, 'partition'), '1')
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(place, name, '..'), { recursive: true })
      writeFileSync(join(place, name), `${text}\n`)
    }
    const list = join(devices, n)
    mkdirSync(list)
    symlinkSync(place, join(list, number))
    const words = ['pack', `oci:${layout}`, '-o', join(directory, `${n}.tar`), '--dry-run', '--json']
    const script = `mount --bind ${list} /sys/dev/block && exec "$@"`
    const run = ['--mount', 'sh', '-c', script, 'sh', process.execPath, commandFile()]
    const removable = Number(n) < 4
    const dry = execFileSync('unshare', [...run, ...words], { encoding: 'utf8' })
    t.match(JSON.parse(dry), { verify: removable, room: { removable } }, path)
    if (n !== '0') continue
    const packed = execFileSync('unshare', [...run, ...words.slice(0, 4)], { encoding: 'utf8' })
    t.match(packed, /\nRead back 1 file \(24MB\), all as written\. The medium has a cache of its own: pull it out/)
    const told = execFileSync('unshare', [...run, ...words.slice(0, 3), `${directory}/y.tar`, '--no-verify'])
    t.notMatch(told.toString(), /Read back/)
  }
})
