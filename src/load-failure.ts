/** Why the native addon cannot be loaded, and what helps: the loader of the system says only what it stumbled over. */
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs'

/** Where the npm package has an addon for. */
export const PREBUILT = ['linux-x64', 'linux-arm64', 'win32-x64']

/** The oldest glibc on which those for Linux run; Node.js 20 needs the same. */
const OLDEST_GLIBC = '2.28'

const BUILD =
  process.platform === 'win32'
    ? 'CONTRIBUTING.md says how, under "Prebuilt addons"'
    : 'install libwim-dev, libdeflate-dev, libssl-dev, libzstd-dev, liblzma-dev, pkg-config and g++, then run "npm rebuild stowage"'

/** `e_machine` of ELF headers, as Node.js calls the processors. Source: the ELF specification of each. */
const MACHINES: Readonly<Record<number, string>> = {
  3: 'ia32',
  20: 'ppc',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
  258: 'loong64',
}

/** What loaders say, and the hint for it. Words, because they have no codes; those of glibc, of musl where it has others, and of Windows. */
const WORDS: readonly (readonly [RegExp, (found: string) => string])[] = [
  [
    /failed to map segment/,
    () =>
      'Stowage is on a file system that is mounted noexec, such as a stick: copy its directory to a disk and run it from there.',
  ],
  [
    /version [`']GLIBC_([\d.]+)' not found/,
    version =>
      `It was built on a system whose glibc is newer (${version}) than this one's. Build it here: ${BUILD}. The addons in the npm package need only glibc ${OLDEST_GLIBC}.`,
  ],
  [
    /version [`']((?:GLIBCXX|CXXABI)_[\d.]+)' not found/,
    version =>
      `It was built by a newer compiler than this system's libstdc++ is from (${version}). Build it here: ${BUILD}. The addons in the npm package do not use libstdc++.`,
  ],
  [
    /^(?!\/)(?:Error loading shared library )?(\S+): (?:cannot open shared object file|No such file)/,
    library => `It needs ${library}, which is not on this system: install it, or build the addon here: ${BUILD}.`,
  ],
  [
    /cannot open shared object file: Permission denied/,
    () => 'This user may not read it: correct the modes of the directory that Stowage is in.',
  ],
  [
    /file too short|invalid ELF header|ELF load command|cannot read file data|Exec format error/,
    () => 'The file is damaged or cut short: install Stowage again, or copy it again.',
  ],
  [/not a valid Win32 application/, () => 'It is damaged, or was built for another processor: install Stowage again.'],
]

/** A hint for an addon, `file`, for which the system's loader gave `reason`. */
export function loadHint(reason: string, file: string): string {
  const machine = machineOf(headOf(file))
  if (machine !== undefined && machine !== process.arch) {
    return `It was built for ${machine}, and this Node.js is for ${process.arch}. Take the Node.js for ${machine}, or build the addon here: ${BUILD}.`
  }
  if (/Error (?:loading shared library|relocating)/.test(reason) && readFileSync(file).includes('GLIBC_')) {
    return `It was built for glibc, and the C library of this system is musl, for which the npm package has no addon. Build it here: ${BUILD}.`
  }
  for (const [words, hint] of WORDS) {
    const found = words.exec(reason)
    if (found) return hint(found[1] ?? '')
  }
  return `It was built for another system, or what it needs is missing. Build it here: ${BUILD}.`
}

/** A hint where there is no addon at all. */
export function missingHint(): string {
  const platform = `${process.platform}-${process.arch}`
  return PREBUILT.includes(platform)
    ? `The npm package has one for ${platform}; this copy of Stowage lacks it. Install the package, or build it: ${BUILD}.`
    : `The npm package has it for ${new Intl.ListFormat('en').format(PREBUILT)}. Elsewhere, build it: ${BUILD}.`
}

/** Whether an ELF file ends before its table of sections does, as after a copy that broke off: loading it ends the process. */
export function isCutShort(file: string): boolean {
  const head = headOf(file)
  if (!isElf(head) || head[4] !== 2 || head[5] !== 1) return false // of 64 bits, little-endian
  const end = Number(head.readBigUInt64LE(40)) + head.readUInt16LE(58) * head.readUInt16LE(60)
  return statSync(file).size < end
}

/** The processor that an ELF file is for; undefined if it is none. */
function machineOf(head: Buffer): string | undefined {
  if (!isElf(head)) return undefined
  const number = head[5] === 2 ? head.readUInt16BE(18) : head.readUInt16LE(18)
  return MACHINES[number] ?? `another processor (ELF machine ${number})`
}

function isElf(head: Buffer): boolean {
  return head.toString('latin1', 0, 4) === '\x7fELF'
}

/** The ELF header of a file, filled up with zeros; only zeros if it cannot be read, for which the loader has the reason. */
function headOf(file: string): Buffer {
  const head = Buffer.alloc(64)
  try {
    const descriptor = openSync(file, 'r')
    try {
      readSync(descriptor, head, 0, head.length, 0)
    } finally {
      closeSync(descriptor)
    }
  } catch {
    // head stays as it is
  }
  return head
}
