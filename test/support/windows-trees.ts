/**
 * WIM files with trees like those of Windows Server: a container base image of Server Core, and an install.wim. Nothing
 * in them comes from Windows. A writer in the tests lays them out, and wimlib-imagex compresses them.
 */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { filetime } from '../../fixtures/make/filetime.js'
import { symlink } from '../../fixtures/make/reparse.js'
import { FULL, READ_EXECUTE, securityDescriptor, SIDS } from '../../fixtures/make/security.js'
import { type MadeKey, makeHive } from './hives.js'
import { linkData, type MadeFile, type MadeImage, makeWim, packedAttributes } from './made-wim.js'
import { type Scratch, scratch } from './scratch.js'
import { wimlib } from './wims.js'

/** The version that every image states. */
export const VERSION = '10.0.20348.2700'

/** Images of {@link installWim}, in their order. */
export const EDITIONS = ['SERVERSTANDARDCORE', 'SERVERSTANDARD', 'SERVERDATACENTERCORE'] as const

/** Paths in image 1 of an {@link installWim} with encrypted files. */
export const ENCRYPTED = Array.from({ length: 12 }, (_, n) => `/Users/Administrator/Documents/Private/${n + 1}.docx`)

/** What hivex must read from `Windows/System32/config` of each image, and from `BCD` of a utility VM. */
export const HIVES: Readonly<Record<string, MadeKey>> = {
  SYSTEM: {
    keys: {
      Select: { values: { Current: number(1), Default: number(1) } },
      ControlSet001: {
        keys: { Control: { keys: { 'Session Manager': { values: { PATH: words('%SystemRoot%') } } } } },
      },
    },
  },
  SOFTWARE: {
    keys: {
      Microsoft: { keys: { 'Windows NT': { keys: { CurrentVersion: { values: { CurrentBuild: words('20348') } } } } } },
      Classes: { keys: { '.txt': { values: { '': words('txtfile') } } } },
    },
  },
  SAM: { keys: { SAM: { keys: { Domains: { values: { C: { type: 3, data: Buffer.alloc(24, 7) } } } } } } },
  SECURITY: {
    keys: { Policy: { keys: { PolRevision: { values: { '': { type: 0, data: Buffer.of(11, 0, 1, 0) } } } } } },
  },
  DEFAULT: { keys: { Environment: { values: { TEMP: words('%USERPROFILE%\\AppData\\Local\\Temp') } } } },
  BCD: {
    keys: {
      Objects: { keys: { '{9dea862c-5cdd-4e70-acc1-f32b344d4795}': { keys: { Elements: {} } } } },
      Description: { values: { KeyName: words('BCD00000000'), System: number(1) } },
    },
  },
}

/**
 * Image 1, WindowsServerCore, and image 2, UtilityVM: all that a host wants of a base image, 600 components of two
 * files each in WinSxS, of which one has a name in System32 as well, a file with 1024 names, names of 255 characters,
 * paths beyond 260, links, extended attributes and short names. No alternate data streams, as in Microsoft's images.
 */
export function serverCoreWim(t: Scratch): string {
  const directory = scratch(t)
  const hives = makeHives(directory)
  const core = new Tree()
  fillServer(core, hives, 600)
  fillManyNames(core)
  const utilityVm = new Tree()
  fillUtilityVm(utilityVm, hives)
  return compressed(join(directory, 'server-core.wim'), [
    { name: 'WindowsServerCore', root: core.files(), xml: xmlOf('Server Core', 'ServerDatacenterCor') },
    { name: 'UtilityVM', root: utilityVm.files(), xml: '' },
  ])
}

/**
 * An image for each of {@link EDITIONS}, which share most of their contents; with alternate data streams, and links as
 * Windows Setup leaves them. `encrypted`: with the files {@link ENCRYPTED} in a directory that encrypts new ones.
 * `architecture`: whether the XML states it.
 */
export function installWim(t: Scratch, { encrypted = false, architecture = true } = {}): string {
  const directory = scratch(t)
  const hives = makeHives(directory)
  const images = EDITIONS.map((edition, n): MadeImage => {
    const tree = new Tree()
    fillServer(tree, hives, 50)
    fillInstalled(tree)
    if (n === 1) fillDesktop(tree)
    tree.file('Windows/servicing/Editions/current.xml', `<edition>${edition}</edition>`)
    if (encrypted && n === 0) fillEncrypted(tree)
    const name = `Windows Server 2022 ${edition}`
    const facts = `<DESCRIPTION>${name}</DESCRIPTION><DISPLAYNAME>${name}</DISPLAYNAME><FLAGS>${edition}</FLAGS>`
    const xml = xmlOf(n === 1 ? 'Server' : 'Server Core', edition, architecture)
    return { name, root: tree.files(), xml: facts + xml }
  })
  return compressed(join(directory, 'install.wim'), images)
}

function compressed(path: string, images: readonly MadeImage[]): string {
  const [first, ...others] = images.map(image => ({ ...image, security: SECURITY, rootSecurity: SYSTEM }))
  if (!first) throw new RangeError('no image')
  makeWim(`${path}.made`, { ...first, others })
  wimlib('export', `${path}.made`, 'all', path, '--compress=LZX')
  rmSync(`${path}.made`)
  return path
}

function xmlOf(installation: string, edition: string, architecture = true): string {
  const [major, minor, build, revision] = VERSION.split('.')
  const time = filetime('2024-09-05T12:00:00Z')
  const word = (value: bigint): string => `0x${value.toString(16).toUpperCase().padStart(8, '0')}`
  return (
    `<CREATIONTIME><HIGHPART>${word(time >> 32n)}</HIGHPART><LOWPART>${word(time & 0xffffffffn)}</LOWPART></CREATIONTIME>` +
    `<WINDOWS>${architecture ? '<ARCH>9</ARCH>' : ''}<PRODUCTNAME>A test fixture, no Windows</PRODUCTNAME>` +
    `<EDITIONID>${edition}</EDITIONID><INSTALLATIONTYPE>${installation}</INSTALLATIONTYPE>` +
    `<LANGUAGES><LANGUAGE>en-US</LANGUAGE><DEFAULT>en-US</DEFAULT></LANGUAGES>` +
    `<VERSION><MAJOR>${major}</MAJOR><MINOR>${minor}</MINOR><BUILD>${build}</BUILD><SPBUILD>${revision}</SPBUILD></VERSION>` +
    `</WINDOWS>`
  )
}

const READONLY = 1
const HIDDEN = 2
const HIDDEN_SYSTEM = 6
const DIRECTORY = 0x10
const ARCHIVE = 0x20
const NOT_INDEXED = 0x2000
const FILE_ENCRYPTED = 0x4000

const [SYSTEM, OWNED, USER, HIVE, LINK] = [0, 1, 2, 3, 4]
const installer = { owner: SIDS.trustedInstaller, group: SIDS.trustedInstaller }
const administrators = { owner: SIDS.administrators, group: SIDS.system }
const SECURITY: readonly Buffer[] = [
  securityDescriptor({
    ...installer,
    control: 0x1000,
    dacl: [
      { sid: SIDS.trustedInstaller, mask: FULL, flags: 3 },
      { sid: SIDS.system, mask: FULL, flags: 3 },
      { sid: SIDS.users, mask: READ_EXECUTE, flags: 3 },
    ],
  }),
  securityDescriptor({
    ...installer,
    dacl: [
      { sid: SIDS.trustedInstaller, mask: FULL },
      { sid: SIDS.allPackages, mask: READ_EXECUTE },
    ],
    sacl: [{ sid: SIDS.everyone, mask: 0x10000, type: 'audit', flags: 0xc0 }],
  }),
  securityDescriptor({ ...administrators, dacl: [{ sid: SIDS.users, mask: READ_EXECUTE, flags: 3 }] }),
  securityDescriptor({ ...administrators, dacl: [{ sid: SIDS.system, mask: FULL }] }),
  securityDescriptor({
    owner: SIDS.system,
    group: SIDS.system,
    dacl: [
      { sid: SIDS.everyone, mask: 1, type: 'deny' },
      { sid: SIDS.everyone, mask: READ_EXECUTE },
    ],
  }),
]

type Facts = Omit<MadeFile, 'name' | 'shortName' | 'children' | 'linkGroup'>

/** All names of a file have the same facts. */
interface Shared extends Facts {
  linkGroup?: number
}

interface Node {
  readonly facts: Shared
  readonly shortName: string | undefined
  readonly children: Map<string, Node> | undefined
}

/** A tree that is filled by paths; directories are made as they are needed, each file with times of its own. */
class Tree {
  readonly #root = new Map<string, Node>()
  #count = 0n
  #groups = 0

  directory(path: string, facts: Facts = {}, shortName?: string): void {
    this.#add(path, { security: SYSTEM, ...facts }, shortName, new Map())
  }

  file(path: string, content: Uint8Array | string, facts: Facts = {}, shortName?: string): void {
    this.#add(path, { security: OWNED, attributes: ARCHIVE, content, ...facts }, shortName, undefined)
  }

  /** A link to a directory. */
  reparse(path: string, facts: Facts, shortName?: string): void {
    this.#add(path, { security: LINK, ...facts }, shortName, undefined)
  }

  /** Another name of the file `existing`. */
  link(path: string, existing: string, shortName?: string): void {
    const { facts } = this.#find(existing)
    facts.linkGroup ??= this.#groups += 1
    this.#place(path, { facts, shortName, children: undefined })
  }

  files(): readonly MadeFile[] {
    const list = (nodes: ReadonlyMap<string, Node>): readonly MadeFile[] =>
      [...nodes].map(([name, { facts, shortName, children }]) => ({
        name,
        ...(shortName === undefined ? {} : { shortName }),
        ...facts,
        ...(children ? { children: list(children) } : {}),
      }))
    return list(this.#root)
  }

  #add(path: string, facts: Facts, shortName: string | undefined, children: Map<string, Node> | undefined): void {
    const created = filetime('2021-05-08T08:14:33.1234567Z') + this.#count * 10_000_019n
    this.#count += 1n
    const times = [created, created + 12_345_678_901n, created + 7n] as const
    this.#place(path, { facts: { times, ...facts }, shortName, children })
  }

  #place(path: string, node: Node): void {
    const at = path.lastIndexOf('/')
    const siblings = at < 0 ? this.#root : this.#directory(path.slice(0, at))
    const name = path.slice(at + 1)
    if (siblings.has(name)) throw new RangeError(`${path} is there already`)
    siblings.set(name, node)
  }

  #directory(path: string): Map<string, Node> {
    if (!this.#has(path)) this.directory(path)
    const { children } = this.#find(path)
    if (!children) throw new RangeError(`${path} is not a directory`)
    return children
  }

  #has(path: string): boolean {
    return this.#walk(path) !== undefined
  }

  #find(path: string): Node {
    const node = this.#walk(path)
    if (!node) throw new RangeError(`${path} is not there`)
    return node
  }

  #walk(path: string): Node | undefined {
    let [found, level]: [Node | undefined, ReadonlyMap<string, Node> | undefined] = [undefined, this.#root]
    for (const name of path.split('/')) {
      found = level?.get(name)
      level = found?.children
    }
    return found
  }
}

const CONFIG = 'Windows/System32/config'

function fillServer(tree: Tree, hives: Hives, components: number): void {
  fillHives(tree, hives, ['DEFAULT', 'SAM', 'SECURITY', 'SOFTWARE', 'SYSTEM'])
  tree.directory('Program Files', { attributes: READONLY }, 'PROGRA~1')
  tree.directory('Program Files (x86)', { attributes: READONLY }, 'PROGRA~2')
  tree.directory('ProgramData', { security: USER, attributes: HIDDEN | NOT_INDEXED }, 'PROGRA~3')
  tree.directory('Users', { security: USER, attributes: READONLY })
  tree.file('Users/desktop.ini', '[.ShellClassInfo]\r\n', { security: USER, attributes: HIDDEN_SYSTEM | ARCHIVE })
  tree.directory('Users/Public', { security: USER })
  tree.reparse('Documents and Settings', junctionTo('C:\\Users'), 'DOCUME~1')
  tree.reparse('ProgramData/Application Data', junctionTo('C:\\ProgramData'), 'APPLIC~1')
  tree.reparse('Users/All Users', symlinkTo('C:\\ProgramData'))
  tree.file('Windows/System32/drivers/etc/hosts', '# localhost name resolution\r\n')
  tree.file('Windows/System32/empty.dat', '')
  tree.link('Windows/WinSxS/empty.dat', 'Windows/System32/empty.dat')
  fillComponents(tree, components)
  fillLongNames(tree)
}

function fillHives(tree: Tree, hives: Hives, names: readonly string[]): void {
  for (const name of names) tree.file(`${CONFIG}/${name}`, hives.get(name) ?? '', { security: HIVE })
  // A component owns the first content of a hive, which the layer must still have as a file of its own
  tree.link(`Windows/WinSxS/amd64_microsoft-windows-registry_31bf3856ad364e35_${VERSION}/SYSTEM`, `${CONFIG}/SYSTEM`)
}

/** As WinSxS is: each file in the directory of its component, and most by a second name where it is used. */
function fillComponents(tree: Tree, count: number): void {
  for (let n = 0; n < count; n += 1) {
    const id = n.toString(16).padStart(4, '0')
    const name = `amd64_microsoft-windows-fixture-${id}_31bf3856ad364e35_${VERSION}_none_${id.repeat(4)}`
    const component = `Windows/WinSxS/${name}`
    const hint = { attributesItem: packedAttributes([['$CI.CATALOGHINT', `\u0001\0${id}`]]) }
    const facts = n % 4 === 0 ? hint : {}
    tree.file(`${component}/fixture-${id}.dll`, `MZ fixture ${id}, which runs nowhere`, facts, `FI${id}~1.DLL`)
    tree.link(`Windows/System32/fixture-${id}.dll`, `${component}/fixture-${id}.dll`)
    tree.file(`${component}/fixture-${id}.dll.mui`, `words of ${n % 50}`) // many have the same content
    tree.file(`Windows/WinSxS/Manifests/${name}.manifest`, `DCM\u0001 ${id}`, { security: SYSTEM })
  }
}

/** As many names of one file as NTFS allows. */
function fillManyNames(tree: Tree): void {
  const path = (n: number): string => `Windows/servicing/Packages/Fixture-Package~31bf3856ad364e35~amd64~~${n}.mum`
  tree.file(path(1), '<assembly/>')
  for (let n = 2; n <= 1024; n += 1) tree.link(path(n), path(1))
}

function fillLongNames(tree: Tree): void {
  tree.file(`Program Files/${'n'.repeat(255)}`, 'a name of 255 letters')
  tree.file(`Program Files/${'🐋'.repeat(127)}.`, 'a name of 255 UTF-16 code units, 509 bytes in UTF-8')
  const deep = Array.from({ length: 25 }, (_, n) => `directory ${n} of a path that goes far beyond the limit`).join('/')
  tree.file(`Program Files/${deep}/Ünïcode.txt`, 'a path of more than 1000 characters')
}

function fillUtilityVm(tree: Tree, hives: Hives): void {
  fillHives(tree, hives, ['SOFTWARE', 'SYSTEM'])
  const boot = 'EFI/Microsoft/Boot'
  tree.file(`${boot}/BCD`, hives.get('BCD') ?? '', { security: HIVE })
  tree.file(`${boot}/bootmgfw.efi`, 'MZ bootmgfw, which boots nothing')
  tree.link('Windows/Boot/EFI/bootmgfw.efi', `${boot}/bootmgfw.efi`)
  fillComponents(tree, 30)
}

/** What an installation image has that a base image has not: recovery, streams, links that other tools wrote. */
function fillInstalled(tree: Tree): void {
  tree.file('Windows/System32/Recovery/Winre.wim', 'MSWIM, or a text in its place')
  const zone = { 'Zone.Identifier': '[ZoneTransfer]\r\nZoneId=3\r\n' }
  tree.file('Users/Public/readme.txt', 'downloaded', { security: USER, streams: zone })
  tree.directory('Users/Public/Pictures', { security: USER, streams: { thumbnails: 'none' } })
  const bare = { ...linkData('junction', '\\??\\C:\\Users\\Public', ''), flags: 1 }
  tree.reparse('Users/Default User', { attributes: DIRECTORY | HIDDEN_SYSTEM, reparse: bare })
  const apart = { ...linkData('symlink', '\\??\\C:\\Windows\\win.ini', 'win.ini'), flags: 1 }
  tree.reparse('Windows/other.ini', { attributes: ARCHIVE, reparse: apart })
}

function fillDesktop(tree: Tree): void {
  tree.file('Windows/explorer.exe', 'MZ explorer, which explores nothing')
  tree.file('Windows/SystemApps/ShellExperienceHost_cw5n1h2txyewy/AppxManifest.xml', '<Package/>')
}

function fillEncrypted(tree: Tree): void {
  const directory = 'Users/Administrator/Documents/Private'
  tree.directory(directory, { security: USER, attributes: FILE_ENCRYPTED })
  for (const path of ENCRYPTED) {
    const content = `ROBS raw data of ${path}`
    tree.file(path.slice(1), content, { security: USER, attributes: ARCHIVE | FILE_ENCRYPTED })
  }
  tree.file(`${directory}/plain.txt`, 'not encrypted', { security: USER })
}

function junctionTo(target: string): Facts {
  const reparse = { ...linkData('junction', `\\??\\${target}`, target), flags: 1 }
  return { attributes: DIRECTORY | HIDDEN_SYSTEM | NOT_INDEXED, reparse }
}

function symlinkTo(target: string): Facts {
  const reparse = { tag: 0xa000000c, data: symlink(target).subarray(8), flags: 1 }
  return { attributes: DIRECTORY | HIDDEN_SYSTEM, reparse }
}

type Hives = ReadonlyMap<string, Buffer>

function makeHives(directory: string): Hives {
  return new Map(
    Object.entries(HIVES).map(([name, key]) => [name, readFileSync(makeHive(join(directory, `${name}.hive`), key))]),
  )
}

function words(text: string) {
  return { type: 1, data: Buffer.from(`${text}\0`, 'utf16le') }
}

function number(value: number) {
  const data = Buffer.alloc(4)
  data.writeUInt32LE(value)
  return { type: 4, data }
}
