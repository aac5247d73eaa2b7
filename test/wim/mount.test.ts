import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { incompressible } from '../../fixtures/make/bytes.js'
import { wimlibVersion } from '../../src/wim/binding.js'
import type { WimProgress } from '../../src/wim/progress.js'
import { commandFile } from '../support/command.js'
import { readStrictWim } from '../support/strict-wim.js'
import { directoryWim, richWim, splitWim, wimlib } from '../support/wims.js'

const ROOT = join(import.meta.dirname, '../..')

/** Mounting cannot be tried without it: the tests that mount say so and are skipped. */
const skip = existsSync('/dev/fuse') ? false : 'there is no /dev/fuse on this machine'

const MIB = 1024 * 1024

/** Plain JavaScript: a loader of TypeScript would cost each child seconds. */
const library = compiled(t)
const { mountImage, unmountImage }: typeof import('../../src/wim/mount.js') = await import(
  join(library, 'wim/mount.js')
)

function scratch(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'stowage-mount-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const [, minor = 0, patch = 0] = wimlibVersion().split('.').map(Number)
const olderThan1142 = minor < 14 || (minor === 14 && patch < 2)

/** Number of directories with an entry for an unnamed data stream, which no directory has. */
function unnamedOfDirectories(t: Test, path: string): number {
  const copy = join(scratch(t), 'copy.wim') // with the same metadata, without the blobs that libwim leaves unused
  wimlib('export', path, 'all', copy)
  return readStrictWim(copy).images.reduce((sum, { files, stored }) => {
    const isDirectory = (name: string): boolean => ((files.get(name)?.attributes ?? 0) & 0x10) !== 0
    const wrong = [...stored].filter(([name, streams]) => isDirectory(name) && streams.includes(` ${'0'.repeat(40)}`))
    return sum + wrong.length
  }, 0)
}

/** An empty directory on which nothing is mounted any more when the test ends, whatever happened. */
function mountPoint(t: Test, name = 'mnt'): string {
  const directory = join(scratch(t), name)
  mkdirSync(directory)
  t.teardown(() => {
    for (const pid of servingProcesses(directory)) process.kill(pid, 'SIGKILL')
    while (isMounted(directory)) if (spawnSync('umount', ['-l', directory]).status !== 0) break
  })
  return directory
}

const isMounted = (directory: string): boolean => spawnSync('findmnt', ['-n', '--mountpoint', directory]).status === 0

/** What can be seen of each file below `directory`: kind, mode, owner, size, time, and content or link target. */
function treeOf(directory: string): Record<string, string> {
  const found: Record<string, string> = {}
  // not readdir: it would go through links
  for (const path of execFileSync('find', [directory, '-print0'], { encoding: 'utf8' }).split('\0').filter(Boolean)) {
    const name = path.slice(directory.length)
    const { mode, uid, gid, size, mtimeMs, nlink } = lstatSync(path)
    const kind = mode & 0o170000
    const content =
      kind === 0o100000
        ? `${nlink} links, ${size} bytes ${createHash('sha1').update(readFileSync(path)).digest('hex')}`
        : kind === 0o120000
          ? readlinkSync(path).replace(directory, '')
          : ''
    found[name] = `${mode.toString(8)} ${uid}:${gid} ${mtimeMs} ${content}`
  }
  return found
}

/** Streams as extended attributes, by the tool that lists them. */
function attributesOf(directory: string): string {
  const args = ['-R', '-P', '-h', '-d', '-m', '^user', '-e', 'hex', '.']
  return execFileSync('getfattr', args, { cwd: directory, encoding: 'utf8' })
}

/** `dir --detailed` of wimlib-imagex without what the hour of the change decides, or the names of staging files. */
function detailsOf(wim: string, image: number): string {
  const decided = /^(Creation Time|Last Access Time|Last Write Time|Offset in WIM) .*\n/gm
  return wimlib('dir', wim, String(image), '--detailed').replace(decided, '')
}

t.test('mountImage() shows the files that wimlib-imagex mount shows, with its streams', { skip }, async t => {
  const wim = richWim(t)
  const [ours, theirs] = [mountPoint(t), mountPoint(t)]
  await mountImage(wim, 1, ours)
  wimlib('mount', wim, '1', theirs)
  const tree = treeOf(ours)
  t.ok(Object.keys(tree).length > 100, 'and they were found')
  t.same(tree, treeOf(theirs))
  t.match(attributesOf(ours), /user\.Zone\.Identifier=0x/)
  t.equal(attributesOf(ours), attributesOf(theirs))
  await unmountImage(ours)
  t.notOk(isMounted(ours))
})

t.test(
  'mountImage() shows the tree that wimlib-imagex apply makes, modes and times with unixData',
  { skip },
  async t => {
    const source = join(scratch(t), 'tree')
    mkdirSync(join(source, 'directory'), { recursive: true })
    for (const [name, mode] of [
      ['plain', 0o640],
      ['program', 0o755],
      ['directory/secret', 0o400],
    ] as const) {
      writeFileSync(join(source, name), name.repeat(9000), { mode })
      utimesSync(join(source, name), 1e9, 1.1e9)
    }
    symlinkSync('program', join(source, 'link'))
    symlinkSync(join(source, 'directory'), join(source, 'absolute'))
    const [wim, applied, mounted] = [`${source}.wim`, `${source}.applied`, mountPoint(t)]
    wimlib('capture', source, wim, 'tree', '--unix-data')
    wimlib('apply', wim, '1', applied, '--unix-data')
    await mountImage(wim, 'tree', mounted, { unixData: true })
    t.equal(
      execFileSync('diff', ['-r', '--no-dereference', '--exclude=absolute', applied, mounted], { encoding: 'utf8' }),
      '',
    )
    const shape = (tree: Record<string, string>): [string, string][] =>
      // a mount counts no links of directories, and POSIX gives links no mode
      Object.entries(tree)
        .map(([name, text]): [string, string] => [name, text.replace(/^120\d+/, '120777')])
        .sort()
    t.same(shape(treeOf(mounted)), shape(treeOf(applied)))
    await unmountImage(mounted)
  },
)

t.test('mountImage() and unmountImage() with commit leave the image that wimlib-imagex leaves', { skip }, async t => {
  const [ours, theirs] = [richWim(t, 'xpress'), richWim(t, 'xpress')]
  const [one, two] = [mountPoint(t), mountPoint(t)]
  const change = (directory: string): void => {
    writeFileSync(join(directory, 'new.txt'), 'new '.repeat(5000))
    execFileSync('setfattr', ['-n', 'user.stream', '-v', 'in a stream', join(directory, 'new.txt')])
    mkdirSync(join(directory, 'made/deep'), { recursive: true })
    symlinkSync('../new.txt', join(directory, 'made/link'))
    renameSync(join(directory, 'contents/mixed'), join(directory, 'made/deep/moved'))
    unlinkSync(join(directory, 'contents/text-1m'))
    writeFileSync(join(directory, 'contents/one-byte'), 'more than one')
  }
  await mountImage(ours, 1, one, { readWrite: true })
  wimlib('mountrw', theirs, '1', two)
  const events: WimProgress[] = []
  change(one)
  change(two)
  await unmountImage(one, { commit: true, integrityTable: true, onProgress: event => events.push(event) })
  wimlib('unmount', two, '--commit', '--check')
  t.equal(detailsOf(ours, 1), detailsOf(theirs, 1))
  t.equal(detailsOf(ours, 2), detailsOf(theirs, 2), 'the other image too')
  t.match(wimlib('info', ours), /Attributes:.*Integrity info/)
  wimlib('verify', ours)
  t.ok(unnamedOfDirectories(t, theirs) > 0 || !olderThan1142, 'libwim commits them in the form that DISM refuses')
  t.equal(unnamedOfDirectories(t, ours), 0)
  t.match(events[0], { type: 'unmount-begin', mountPoint: one, path: ours, image: 1 })
  t.match(
    events.find(({ type }) => type === 'write-streams'),
    { compression: 'xpress' },
  )
  t.same(readdirSync(dirname(ours)), [basename(ours)], 'and no staging directory stays')
})

t.test('unmountImage() without commit forgets the changes, with newImage it keeps both', { skip }, async t => {
  const wim = directoryWim(t)
  const directory = mountPoint(t)
  const before = readFileSync(wim)
  await mountImage(wim, 1, directory, { readWrite: true })
  writeFileSync(join(directory, 'forgotten'), 'text')
  await unmountImage(directory)
  t.ok(readFileSync(wim).equals(before), 'not a byte has changed')
  await mountImage(wim, 1, directory, { readWrite: true })
  writeFileSync(join(directory, 'kept'), 'text')
  await unmountImage(directory, { commit: true, newImage: true, rebuild: true })
  t.notMatch(wimlib('dir', wim, '1'), /kept/)
  t.match(wimlib('dir', wim, '2'), /^\/kept$/m)
})

t.test('mountImage() reads a split WIM by any part, and a delta WIM with its references', { skip }, async t => {
  const [, second = ''] = splitWim(t)
  const directory = mountPoint(t)
  await mountImage(second, 1, directory)
  t.equal(readFileSync(join(directory, 'contents/random-9m')).length, 9 * MIB + 1)
  await unmountImage(directory)
  await t.rejects(mountImage(second, 1, directory, { readWrite: true }), { code: 'PERMISSION_DENIED' })
  const base = directoryWim(t)
  const delta = join(scratch(t), 'delta.wim')
  wimlib('capture', base.replace(/\.wim$/, ''), delta, '--delta-from', base)
  await mountImage(delta, 1, directory, { references: [join(dirname(base), '*.wim')], checkIntegrity: true })
  t.equal(readFileSync(join(directory, 'docs/text.txt')).length, 100_000)
  await unmountImage(directory)
})

t.test('mountImage() offers streams as it is told to', { skip }, async t => {
  const wim = richWim(t)
  const directory = mountPoint(t)
  await mountImage(wim, 1, directory, { streamsInterface: 'windows' })
  t.match(readFileSync(join(directory, 'streams/file.txt:Zone.Identifier'), 'utf8'), /ZoneId=3/)
  await unmountImage(directory)
  await mountImage(wim, 1, directory, { streamsInterface: 'none', allowOther: true })
  t.throws(() => attributesOf(directory), /not supported/)
  t.match(
    execFileSync('findmnt', ['-n', '-o', 'OPTIONS', '--mountpoint', directory], { encoding: 'utf8' }),
    /allow_other/,
  )
  await unmountImage(directory)
})

t.test('mountImage() keeps changes in the staging directory it is given', { skip }, async t => {
  const [wim, directory, staging] = [directoryWim(t), mountPoint(t), scratch(t)]
  await mountImage(wim, 1, directory, { readWrite: true, stagingDirectory: staging })
  t.equal(readdirSync(staging).length, 1)
  await unmountImage(directory)
  t.same(readdirSync(staging), [])
  const missing = join(staging, 'missing')
  await t.rejects(mountImage(wim, 1, directory, { readWrite: true, stagingDirectory: missing }), {
    code: 'FILE_NOT_FOUND',
  })
})

t.test('mountImage() mounts two images at once, on paths of any letters', { skip }, async t => {
  const wim = richWim(t)
  const [one, two] = [mountPoint(t, 'with space'), mountPoint(t, 'ünï\\code 🐋')]
  await Promise.all([mountImage(wim, 1, one), mountImage(wim, 'UtilityVM', two)])
  t.ok(existsSync(join(one, 'contents')))
  t.notOk(existsSync(join(two, 'contents')))
  t.ok(readdirSync(two).length > 0)
  await Promise.all([unmountImage(one), unmountImage(two)])
  t.notOk(isMounted(one) || isMounted(two))
})

t.test('mountImage() says what is wrong with what it was given', { skip }, async t => {
  const [wim, directory] = [richWim(t), mountPoint(t)]
  const file = join(scratch(t), 'file')
  writeFileSync(file, 'no WIM'.repeat(100))
  await t.rejects(mountImage(wim, 'no such', directory), { code: 'IMAGE_NOT_FOUND' })
  await t.rejects(mountImage(wim, 3, directory), { code: 'IMAGE_NOT_FOUND' })
  await t.rejects(mountImage(wim, 'all', directory), { code: 'IMAGE_NOT_FOUND' })
  await t.rejects(mountImage(wim, 0, directory), { code: 'INVALID_ARGUMENT' })
  await t.rejects(mountImage(file, 1, directory), { code: 'NOT_A_WIM' })
  await t.rejects(mountImage(`${file}.none`, 1, directory), { code: 'FILE_NOT_FOUND' })
  await t.rejects(mountImage(wim, 1, file), { code: 'INVALID_ARGUMENT' })
  await t.rejects(mountImage(wim, 1, `${directory}.none`), { code: 'FILE_NOT_FOUND' })
  t.notOk(isMounted(directory))
  await mountImage(wim, 1, directory, { readWrite: true })
  await t.rejects(mountImage(wim, 2, mountPoint(t), { readWrite: true }), {
    code: 'BUSY',
    cause: { code: 'WIMLIB_ERR_ALREADY_LOCKED' },
  })
  await unmountImage(directory)
})

t.test(
  'unmountImage() says that nothing is mounted, that files are open, that the process is gone',
  { skip },
  async t => {
    const [wim, directory] = [directoryWim(t), mountPoint(t)]
    await t.rejects(unmountImage(directory), {
      code: 'INVALID_ARGUMENT',
      cause: { code: 'WIMLIB_ERR_NOT_A_MOUNTPOINT' },
    })
    await t.rejects(unmountImage(`${directory}.none`), { code: 'FILE_NOT_FOUND' })
    await mountImage(wim, 1, directory, { readWrite: true })
    const file = openSync(join(directory, 'new'), 'w')
    await t.rejects(unmountImage(directory, { commit: true }), {
      code: 'BUSY',
      cause: { code: 'WIMLIB_ERR_MOUNTED_IMAGE_IS_BUSY' },
    })
    t.ok(isMounted(directory), 'and nothing is lost')
    await unmountImage(directory, { commit: true, force: true })
    t.throws(() => writeSync(file, 'too late'), 'what was open is not any more')
    t.match(wimlib('dir', wim), /^\/new$/m)
    await mountImage(wim, 1, directory)
    process.kill(servingProcess(directory), 'SIGKILL')
    t.ok(await isServedNoMore(directory))
    await t.rejects(unmountImage(directory), { code: 'IO_ERROR', hint: /umount/ })
    await t.rejects(mountImage(wim, 1, directory), { code: 'IO_ERROR', hint: /umount/ })
  },
)

t.test('the process that serves a mount unmounts at SIGTERM, and holds nothing of ours', { skip }, async t => {
  const [wim, directory, marker] = [directoryWim(t), mountPoint(t), join(scratch(t), 'marker')]
  const script = program(
    t,
    `import { mountImage } from '${library}/wim/mount.js'
    await mountImage(process.argv[2], 1, process.argv[3])`,
  )
  // a descriptor that Node.js does not know of, and hands on
  execFileSync('bash', ['-c', 'exec 200>"$0"; exec "$@"', marker, process.execPath, script, wim, directory])
  const pid = servingProcess(directory)
  const open = readdirSync(`/proc/${pid}/fd`).map(fd => readlinkSync(`/proc/${pid}/fd/${fd}`))
  t.ok(open.includes('/dev/fuse') && open.includes(wim))
  t.same(
    open.filter(path => path === marker || path.startsWith('socket:')),
    [],
  )
  const directoryOf = (): string => readlinkSync(`/proc/${pid}/cwd`)
  // it goes there a little after its mount is there
  for (let left = 100; left > 0 && directoryOf() !== '/'; left--) await new Promise(done => setTimeout(done, 10))
  t.equal(directoryOf(), '/')
  process.kill(pid, 'SIGTERM')
  t.ok(await isServedNoMore(directory), 'it ended')
  t.notOk(isMounted(directory))
})

t.test('mountImage() that is aborted at any moment leaves no mount', { skip }, async t => {
  const [wim, directory] = [richWim(t), mountPoint(t)]
  await t.rejects(mountImage(wim, 1, directory, { signal: AbortSignal.abort() }), { code: 'ABORTED' })
  // the longest is longer than mounting takes
  for (const delay of [1, 30, 50, 70, 100, 3000]) {
    const signal = AbortSignal.timeout(delay)
    const start = Date.now()
    const mounted = await mountImage(wim, 1, directory, { signal }).then(
      () => true,
      (error: { code: string }) => {
        t.equal(error.code, 'ABORTED')
        return false
      },
    )
    if (mounted) await unmountImage(directory)
    else t.ok(Date.now() - start < delay + 1000, 'it ended within a second')
    t.notOk(isMounted(directory), `aborted after ${delay} ms`)
  }
  // once the mount is there but not told yet
  let aborted = false
  for (let attempt = 0; attempt < 20 && !aborted; attempt++) {
    const controller = new AbortController()
    const mount = mountImage(wim, 1, directory, { signal: controller.signal }).then(
      () => false,
      () => true,
    )
    while (!readFileSync('/proc/self/mountinfo', 'utf8').includes(directory))
      await new Promise(done => setImmediate(done))
    controller.abort()
    aborted = await mount
    if (!aborted) await unmountImage(directory)
  }
  t.ok(aborted, 'one was mounted and aborted')
  t.notOk(isMounted(directory))
  t.ok(await isServedNoMore(directory))
})

t.test('mountImage() waits for no one to write to a pipe that it is given', { skip }, async t => {
  const [wim, directory] = [richWim(t), mountPoint(t)]
  const fifo = join(scratch(t), 'fifo')
  execFileSync('mkfifo', [fifo])
  await t.rejects(mountImage(wim, 1, directory, { references: [fifo] }), { code: 'NOT_A_WIM' })
  t.notOk(isMounted(directory))
  t.ok(await isServedNoMore(directory))
})

t.test('unmountImage() that is aborted returns at once, and the commit is finished all the same', { skip }, async t => {
  const [wim, directory] = [directoryWim(t), mountPoint(t)]
  await mountImage(wim, 1, directory, { readWrite: true })
  writeFileSync(join(directory, 'large'), incompressible('large', 48 * MIB))
  const script = `import { unmountImage } from '${library}/wim/mount.js'
    const controller = new AbortController()
    process.on('SIGINT', () => controller.abort())
    const onProgress = ({ type }) => { if (type === 'write-streams') console.log('writing') }
    const { signal } = controller
    await unmountImage(process.argv[2], { commit: true, signal, onProgress }).catch(({ code }) => console.log(code))`
  const child = spawn(process.execPath, [program(t, script), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  const closed = once(child, 'close') as Promise<[number]>
  let [told, interrupted] = ['', 0]
  child.stdout.on('data', (piece: Buffer) => {
    told += piece
    if (interrupted > 0 || child.pid === undefined) return
    interrupted = Date.now()
    process.kill(-child.pid, 'SIGINT') // as Ctrl-C: it and all of its group
  })
  const [status] = await closed
  t.equal(status, 0)
  t.match(told, /ABORTED\n$/)
  t.ok(Date.now() - interrupted < 1000, 'it ended within a second')
  t.equal(servingProcesses(directory).length, 2, 'the one that writes and the one that waits for it go on')
  t.ok(await isServedNoMore(directory, 60_000))
  t.match(wimlib('dir', wim), /^\/large$/m)
  wimlib('verify', wim)
})

t.test('a mount outlives the process that made it, which ends at once', { skip }, async t => {
  const [wim, directory] = [directoryWim(t), mountPoint(t)]
  const script = `import { mountImage } from '${library}/wim/mount.js'
    await mountImage(process.argv[2], 1, process.argv[3])`
  const child = spawn(process.execPath, [program(t, script), wim, directory], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [status] = (await once(child, 'close')) as [number] // not before its pipes are closed by all who have them
  t.equal(status, 0)
  t.ok(existsSync(join(directory, 'docs/text.txt')))
  const worker = `
    import { Worker, isMainThread, workerData } from 'node:worker_threads'
    import { mountImage, unmountImage } from '${library}/wim/mount.js'
    const [,, wim, one, two] = process.argv
    if (isMainThread) {
      new Worker(new URL(import.meta.url), { argv: [wim, one, two] }).on('exit', code => process.exitCode = code)
    }
    else {
      await unmountImage(one)
      await mountImage(wim, 1, two)
    }`
  const other = mountPoint(t)
  execFileSync(process.execPath, [program(t, worker), wim, directory, other])
  t.notOk(isMounted(directory), 'a worker thread unmounts')
  t.ok(existsSync(join(other, 'docs/text.txt')), 'and mounts')
  await unmountImage(other)
})

t.test('mountImage() with debug ends when the image is unmounted, and tells on stderr', { skip }, async t => {
  const [wim, directory] = [directoryWim(t), mountPoint(t)]
  const script = `import { mountImage } from '${library}/wim/mount.js'
    await mountImage(process.argv[2], 1, process.argv[3], { debug: true })
    console.log('unmounted')`
  const child = spawn(process.execPath, [program(t, script), wim, directory], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [told, printed] = ['', '']
  child.stdout.on('data', (piece: Buffer) => (told += piece))
  child.stderr.on('data', (piece: Buffer) => (printed += piece))
  const closed = once(child, 'close') as Promise<[number]>
  while (!isMounted(directory)) await new Promise(done => setTimeout(done, 20))
  t.ok(existsSync(join(directory, 'docs')))
  t.equal(told, '')
  await unmountImage(directory)
  const [status] = await closed
  t.equal(status, 0)
  t.equal(told, 'unmounted\n')
  t.match(printed, /unique/)
})

t.test('mountImage() works for who is not root, and says what is not there or not allowed', { skip }, async t => {
  const [wim, directory] = [directoryWim(t), mountPoint(t)]
  const device = join(scratch(t), 'fuse')
  execFileSync('mknod', [device, 'c', '10', '229'])
  execFileSync('chown', ['-R', 'nobody', dirname(wim), dirname(directory)])
  const script = program(
    t,
    `
    import { readdirSync, writeFileSync } from 'node:fs'
    import { mountImage, unmountImage } from '${library}/wim/mount.js'
    const [,, wim, directory] = process.argv
    try {
      await mountImage(wim, 1, directory, { readWrite: true })
      writeFileSync(directory + '/by-nobody', 'text')
      await unmountImage(directory, { commit: true })
      console.log('committed')
    } catch ({ code, message, hint }) {
      console.log(code + ': ' + message + ' -- ' + hint)
    }`,
  )
  /** In a mount namespace of its own, with this device as /dev/fuse. */
  const asNobody = (prepare: string, path = process.env['PATH']): string =>
    execFileSync(
      'unshare',
      [
        '--mount',
        '--propagation',
        'private',
        'sh',
        '-ec',
        `${prepare}
      exec setpriv --reuid=nobody --regid=nogroup --clear-groups env -u NODE_OPTIONS PATH="$4" "$0" "$1" "$2" "$3"`,
        process.execPath,
        script,
        wim,
        directory,
        path ?? '',
      ],
      { encoding: 'utf8' },
    )
  const open = `chmod 666 ${device}; mount --bind ${device} /dev/fuse`
  t.equal(asNobody(open), 'committed\n')
  t.match(wimlib('dir', wim), /^\/by-nobody$/m)
  t.match(asNobody(`chmod 600 ${device}; mount --bind ${device} /dev/fuse`), /^PERMISSION_DENIED: .* -- .*\/dev\/fuse/)
  t.match(asNobody(`mount -t tmpfs none /dev`), /^UNSUPPORTED: .* -- \/dev\/fuse does not exist/)
  const hidden = asNobody(`${open}; for name in fusermount fusermount3; do
    mount --bind /dev/null "$(realpath "$(command -v $name)")" || true; done`)
  t.match(hidden, /^UNSUPPORTED: .* -- .*apt-get install fuse3/)
})

/** The processes that serve the mount on `directory`, or that unmount it. */
function servingProcesses(directory: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(directory) && pid !== process.pid
      } catch {
        return false // gone meanwhile
      }
    })
}

/** Whether the processes that serve the mount, or wait for its end, are gone, or go in that time. */
async function isServedNoMore(directory: string, milliseconds = 5000): Promise<boolean> {
  for (const start = Date.now(); Date.now() - start < milliseconds; await new Promise(done => setTimeout(done, 10))) {
    if (servingProcesses(directory).length === 0) return true
  }
  return false
}

function servingProcess(directory: string): number {
  const [pid] = servingProcesses(directory)
  if (pid === undefined) throw new Error(`nobody serves ${directory}`)
  return pid
}

/** The library as plain JavaScript, for processes of which no loader should be a part; every user may read it. */
function compiled(t: Test): string {
  const root = scratch(t)
  const made = join(dirname(commandFile()), '../..')
  cpSync(join(made, 'dist'), join(root, 'dist'), { recursive: true })
  copyFileSync(join(ROOT, 'package.json'), join(root, 'package.json'))
  mkdirSync(join(root, 'build/Release'), { recursive: true })
  copyFileSync(join(ROOT, 'build/Release/stowage.node'), join(root, 'build/Release/stowage.node'))
  execFileSync('chmod', ['-R', 'a+rX', root])
  return join(root, 'dist')
}

function program(t: Test, script: string): string {
  const path = join(scratch(t), 'program.mjs')
  writeFileSync(path, script)
  execFileSync('chmod', ['-R', 'a+rX', dirname(path)])
  return path
}
