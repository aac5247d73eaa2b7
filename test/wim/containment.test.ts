import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { StowageError } from '../../src/errors.js'
import type { ExtractPathsOptions } from '../../src/wim/options.js'
import { openWim, type WimFile } from '../../src/wim/wim-file.js'
import { extractPlain } from '../support/plain-extraction.js'
import type { Scratch } from '../support/scratch.js'
import {
  type CraftedDentry,
  type CraftedImage,
  craftWim,
  DIRECTORY,
  directory,
  file,
  MOUNT_POINT,
  REPARSE_POINT,
  SYMLINK,
  symlink,
  symlinkData,
} from '../fuzz/crafted-wim.js'

interface Attempt {
  readonly images: readonly CraftedImage[]
  readonly image?: number | 'all'
  /** These alone, with `wimlib-imagex extract`. */
  readonly paths?: readonly string[]
  readonly options?: ExtractPathsOptions
  /** The same for wimlib-imagex. */
  readonly args?: readonly string[]
  /** What stands in the target before. */
  readonly before?: (target: string, outside: string) => void
  /** The code of the error, where we refuse what wimlib-imagex does. */
  readonly refused?: string
}

const one = (...tree: readonly CraftedDentry[]): readonly CraftedImage[] => [{ name: 'x', tree }]
const owned = (mode: number): Pick<CraftedDentry, 'unix'> => ({ unix: { uid: 1234, gid: 1234, mode } })

// From the target, base/target, to what must not be touched.
const OUT = '..\\..\\outside'
const VICTIM = `${OUT}\\victim`
const NAMES = [
  '..',
  '.',
  'a/b',
  '../../outside/new',
  '/',
  '',
  'a\0b',
  '../..',
  'a\\..\\..\\b',
  '\ud800',
  'x/../../../outside/new',
]
const UNIX = { options: { unixData: true }, args: ['--unix-data'] }

const attempts: Readonly<Record<string, Attempt>> = {
  ...Object.fromEntries(
    NAMES.flatMap((name): [string, Attempt][] => {
      const label = JSON.stringify(name)
      const images = one(file('fine'), file(name))
      return [
        [`a file named ${label}`, { images }],
        [`a directory named ${label}`, { images: one(directory(name, [file('inner')])) }],
        [`a link named ${label}`, { images: one(symlink(name, OUT)) }],
        [
          `a file named ${label}, extracted under another`,
          { images, options: { replaceInvalidNames: true }, args: ['--include-invalid-names'] },
        ],
        [
          `an image named ${label}`,
          { images: [{ name: name.replace(/[\0\ud800]/g, ''), tree: [file('fine')] }], image: 'all' },
        ],
      ]
    }),
  ),
  'a link to a directory, with children': {
    images: one(symlink('d', OUT, { attributes: REPARSE_POINT | DIRECTORY, children: [file('evil')] })),
  },
  'a link to a directory, with an empty child': {
    images: one(symlink('d', OUT, { attributes: REPARSE_POINT | DIRECTORY, children: [{ name: 'evil' }] })),
  },
  'a link to a directory, with a directory in it': {
    images: one(
      symlink('d', OUT, { attributes: REPARSE_POINT | DIRECTORY, children: [directory('evil', [file('x')])] }),
    ),
  },
  'a link to a file, with children': { images: one(symlink('d', OUT, { children: [file('evil')] })) },
  'a junction with children': {
    images: one({
      name: 'd',
      attributes: DIRECTORY | REPARSE_POINT,
      reparseTag: MOUNT_POINT,
      content: symlinkData('C:\\outside'),
      children: [file('evil')],
    }),
  },
  'a file with children': { images: one({ ...file('d'), attributes: 0x20, children: [file('evil')] }) },
  'a link and a directory of one name': { images: one(symlink('d', OUT), directory('d', [file('evil')])) },
  'a directory and a link of one name': { images: one(directory('d', [file('evil')]), symlink('d', OUT)) },
  'a link and a file of one name': { images: one(symlink('f', VICTIM), file('f')) },
  'a link and a directory whose names differ in case': {
    images: one(symlink('d', OUT), directory('D', [file('evil')])),
  },
  'a link group of a link and files': {
    images: one(
      symlink('a', VICTIM, { linkGroup: 5n }),
      { ...file('b'), linkGroup: 5n },
      { ...file('c', 'other'), linkGroup: 5n },
    ),
  },
  'a link group of directories': {
    images: one({ ...directory('a', [file('x')]), linkGroup: 5n }, { ...directory('b', [file('y')]), linkGroup: 5n }),
  },
  'an absolute link, fixed to stand in the target': {
    images: one(symlink('l', 'C:\\..\\..\\outside'), directory('d', [file('x')])),
    options: { rpfix: true },
    args: ['--rpfix'],
  },
  'a root that is a link': {
    images: [
      {
        name: 'x',
        tree: [file('evil')],
        root: { attributes: REPARSE_POINT | DIRECTORY, reparseTag: SYMLINK, content: symlinkData(OUT) },
      },
    ],
  },
  'a root that is a file': {
    images: [{ name: 'x', tree: [], root: { attributes: 0x20, content: Buffer.from('evil') } }],
  },
  'two images of one name, a link in the first where the second has a directory': {
    images: [
      { name: 'x', tree: [symlink('d', `..\\${OUT}`)] },
      { name: 'x', tree: [directory('d', [file('evil')])] },
    ],
    image: 'all',
  },
  'two images of one name, a link in the first where the second has a file': {
    images: [
      { name: 'x', tree: [symlink('d', `..\\${VICTIM}`)] },
      { name: 'x', tree: [{ ...file('d'), ...owned(0o104777) }] },
    ],
    image: 'all',
    ...UNIX,
  },
  'a link with the mode of a file': { images: one(symlink('l', VICTIM, owned(0o104777))), ...UNIX },
  'a link with the mode of a directory': {
    images: one(symlink('l', OUT, { ...owned(0o040777), attributes: REPARSE_POINT | DIRECTORY })),
    ...UNIX,
  },
  'a file with the mode of a link': {
    images: one({ ...file('l', '../../outside/victim'), ...owned(0o120777) }),
    ...UNIX,
  },
  'an empty file with the mode of a link': { images: one({ name: 'l', ...owned(0o120777) }), ...UNIX },
  'a directory with the mode of a link': {
    images: one({ ...directory('l', [file('evil')]), ...owned(0o120777) }),
    ...UNIX,
  },
  'a directory in place of a link that stands there': {
    images: one(directory('d', [file('evil')])),
    before: (target, outside) => symlinkSync(outside, join(target, 'd')),
  },
  'a directory in place of a deeper link that stands there': {
    images: one(directory('d', [directory('e', [file('evil')])])),
    before: (target, outside) => {
      mkdirSync(join(target, 'd'))
      symlinkSync(outside, join(target, 'd/e'))
    },
  },
  'a file in place of a link that stands there': {
    images: one(file('f')),
    before: (target, outside) => symlinkSync(join(outside, 'victim'), join(target, 'f')),
  },
  'a file in place of a link to nothing': {
    images: one(file('f')),
    before: (target, outside) => symlinkSync(join(outside, 'new'), join(target, 'f')),
  },
  'an empty file in place of a link that stands there': {
    images: one({ name: 'f' }),
    before: (target, outside) => symlinkSync(join(outside, 'victim'), join(target, 'f')),
  },
  'a file in place of another name of a file outside': {
    images: one(file('f')),
    before: (target, outside) => linkSync(join(outside, 'victim'), join(target, 'f')),
  },
  'hard links in place of links that stand there': {
    images: one({ ...file('a', 'evil'), linkGroup: 7n }, { ...file('b', 'evil'), linkGroup: 7n }),
    before: (target, outside) => ['a', 'b'].forEach(name => symlinkSync(join(outside, 'victim'), join(target, name))),
  },
  'a path below a link that stands there': {
    images: one(directory('d', [file('evil')])),
    paths: ['/d/evil'],
    args: ['--preserve-dir-structure'],
    before: (target, outside) => symlinkSync(outside, join(target, 'd')),
  },
  'all images, and a link in place of the directory of one': {
    images: [
      { name: 'x', tree: [file('evil')] },
      { name: 'y', tree: [file('fine')] },
    ],
    image: 'all',
    refused: 'INVALID_ARGUMENT',
    before: (target, outside) => symlinkSync(outside, join(target, 'x')),
  },
  'all images, and a link in place of the number of one': {
    images: [
      { name: '..', tree: [file('evil')] },
      { name: 'y', tree: [file('fine')] },
    ],
    image: 'all',
    refused: 'INVALID_ARGUMENT',
    before: (target, outside) => symlinkSync(outside, join(target, '1')),
  },
  ...collisions(),
}

/** Files of different directories that come to one place, or whose replacement names do, in either order. */
function collisions(): Record<string, Attempt> {
  const cases: Record<string, Attempt> = {}
  const link = directory('b', [symlink('f', VICTIM)])
  const flat = { ...UNIX, options: { unixData: true, preserveDirStructure: false } }
  const others: Readonly<Record<string, CraftedDentry>> = {
    'a file': { ...file('f', 'evil'), ...owned(0o104777) },
    'an empty file': { name: 'f', ...owned(0o104777) },
    'a directory': { ...directory('f', [file('evil')]), ...owned(0o040777) },
  }
  for (const [what, dentry] of Object.entries(others)) {
    for (const tree of [
      [directory('a', [dentry]), link],
      [link, directory('a', [dentry])],
    ]) {
      const first = tree[0] === link ? 'link' : what
      const paths = ['/a/f', '/b/f']
      cases[`${what} and a link that come to one place, ${first} first`] = { images: one(...tree), paths, ...flat }
    }
    const odd = { ...dentry, name: 'a/b' }
    const trap = symlink('a?b (invalid filename #1)', what === 'a directory' ? OUT : VICTIM)
    for (const tree of [
      [odd, trap],
      [trap, odd],
    ]) {
      const first = tree[0] === trap ? 'link' : what
      cases[`${what} of an invalid name and a link of its replacement, ${first} first`] = {
        images: one(...tree),
        options: {
          unixData: true,
          replaceInvalidNames: true,
        },
        args: ['--unix-data', '--include-invalid-names'],
      }
    }
  }
  return cases
}

/** A link that was fixed names the directory it stands in. */
const listing = (directory: string): string =>
  execFileSync('find', ['.', '-printf', '%y %m %U %s %n %l %P\\0'], { cwd: directory, encoding: 'latin1' })
    .replaceAll(directory, 'TARGET')
    .split('\0')
    .sort()
    .join('\n')
const state = (directory: string): string =>
  execFileSync('find', ['.', '-printf', '%y %m %U %s %T@ %l %P\\n', '-type', 'f', '-exec', 'cat', '{}', ';'], {
    cwd: directory,
    encoding: 'latin1',
  })

interface Place {
  readonly target: string
  readonly wim: string
  /** Everything but what is in the target. */
  readonly whole: () => string
}

/** A target two directories below a place of its own, and beside it what nobody may touch. */
function place(t: Scratch, { before }: Attempt): Place {
  const root = mkdtempSync(join(tmpdir(), 'stowage-contain-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const [target, outside, wim] = [join(root, 'base/target'), join(root, 'outside'), join(root, 'x.wim')]
  mkdirSync(target, { recursive: true })
  mkdirSync(outside)
  writeFileSync(join(outside, 'victim'), 'untouched', { mode: 0o640 })
  before?.(target, outside)
  for (const path of [join(outside, 'victim'), outside]) utimesSync(path, 1e9, 1e9)
  chmodSync(join(outside, 'victim'), 0o640)
  const around = ['.', '-path', './base/target/*', '-prune', '-o', '-printf', '%y %P\\n']
  const whole = (): string => `${state(outside)}${execFileSync('find', around, { cwd: root, encoding: 'latin1' })}`
  return { target, wim, whole }
}

const extractors: Readonly<Record<string, (wim: WimFile, attempt: Attempt, target: string) => Promise<void>>> = {
  'by libwim': async (wim, { image = 1, paths, options = {} }, target) =>
    paths ? wim.extractPaths(Number(image), paths, target, options) : wim.extract(image, target, options),
  'without libwim': async (wim, { image = 1, paths, options = {} }, target) =>
    extractPlain(wim, image, target, { ...options, paths }),
}

t.test('extraction writes nothing outside the target, else what wimlib-imagex writes', async t => {
  for (const [name, attempt] of Object.entries(attempts)) {
    const { images, image = 1, paths, args = [], refused } = attempt
    const theirs = place(t, attempt)
    craftWim(theirs.wim, images)
    const command = paths
      ? ['extract', theirs.wim, String(image), ...paths, `--dest-dir=${theirs.target}`]
      : ['apply', theirs.wim, String(image), theirs.target]
    const { status } = spawnSync('wimlib-imagex', [...command, ...args])
    for (const [how, extract] of Object.entries(extractors)) {
      const what = `${name}, ${how}`
      const ours = place(t, attempt)
      craftWim(ours.wim, images)
      const before = ours.whole()
      let error: unknown
      try {
        await using wim = await openWim(ours.wim)
        await extract(wim, attempt, ours.target)
      } catch (thrown) {
        error = thrown
      }
      t.equal(ours.whole(), before, `${what}: nothing outside is touched`)
      t.ok(error === undefined || error instanceof StowageError, `${what}: a typed error or none: ${String(error)}`)
      if (refused !== undefined) {
        t.match(error, { code: refused }, `${what}: refused`)
        t.notOk(existsSync(join(ours.target, 'y')), `${what}: before a file is written`)
        continue
      }
      t.equal(error === undefined, status === 0, `${what}: fails where wimlib-imagex does: ${String(error)}`)
      if (status === 0) t.equal(listing(ours.target), listing(theirs.target), `${what}: the same tree`)
    }
  }
})
