/** What Stowage needs from the system: how to see that it is there, and the Debian package that brings it. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

/** Directory for `node-gyp --nodedir`: headers of the very Node.js that runs, or Debian's; undefined when there are none. */
export function nodeHeaders() {
  const prefixes = [dirname(dirname(process.execPath)), '/usr', '/usr/local']
  return prefixes.find(prefix => existsSync(join(prefix, 'include', 'node', 'node_api.h')))
}

function command(name) {
  const path = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return path.some(directory => existsSync(join(directory, name)))
}

/** `--exists`, and to some pkg-configs `--libs`, would also ask for what wimlib.pc names as private and libwim-dev does not bring. */
function library(name) {
  return spawnSync('pkg-config', ['--variable=libdir', name]).status === 0
}

/** As Debian's packages of compilers call it. */
const OWN_PROCESSOR = process.arch === 'arm64' ? 'aarch64' : 'x86-64'

const BUILD = [
  { package: 'g++', found: () => command('g++') },
  { package: 'make', found: () => command('make') },
  { package: 'python3', found: () => command('python3') },
  { package: 'pkg-config', found: () => command('pkg-config') },
  { package: 'libwim-dev', found: () => library('wimlib') },
  { package: 'libdeflate-dev', found: () => library('libdeflate') },
  { package: 'libssl-dev', found: () => library('libcrypto') && library('libssl') },
  { package: 'libzstd-dev', found: () => library('libzstd') },
  { package: 'liblzma-dev', found: () => library('liblzma') },
  { package: 'zlib1g-dev', found: () => library('zlib') }, // which libcrypto uses on Debian 13
  { package: 'libnode-dev', found: () => nodeHeaders() !== undefined },
]

const TEST = [
  { package: 'wimtools', found: () => command('wimlib-imagex') },
  { package: 'ntfs-3g', found: () => command('mkntfs') && command('ntfs-3g') },
  { package: 'attr', found: () => command('setfattr') },
  { package: 'libwin-hivex-perl', found: () => command('hivexregedit') },
  { package: 'reglookup', found: () => command('reglookup') },
  { package: 'docker-registry', found: () => command('docker-registry') },
  { package: 'apache2-utils', found: () => command('htpasswd') },
  { package: 'curl', found: () => command('curl') },
  { package: 'jq', found: () => command('jq') },
  { package: 'openssl', found: () => command('openssl') },
  { package: 'skopeo', found: () => command('skopeo') },
  { package: 'par2', found: () => command('par2') },
  { package: 'libarchive-tools', found: () => command('bsdtar') },
  { package: 'zstd', found: () => command('zstd') },
  { package: 'xz-utils', found: () => command('xz') },
  { package: 'busybox-static', found: () => existsSync('/bin/busybox') },
  { package: 'bash-completion', found: () => existsSync('/usr/share/bash-completion/bash_completion') },
  { package: 'groff-base', found: () => command('groff') },
  { package: 'zsh', found: () => command('zsh') },
  { package: 'fish', found: () => command('fish') },
  { package: 'age', found: () => command('age') },
  { package: 'gpg', found: () => command('gpg') },
  { package: 'gpg-agent', found: () => command('gpg-agent') },
  { package: 'musl-tools', found: () => command('musl-gcc') },
]

const ENGINE = [
  { package: 'docker.io', found: () => command('dockerd') },
  { package: 'docker-cli', found: () => command('docker') || !packaged('docker-cli') }, // from trixie on apart from docker.io
  { package: 'containerd', found: () => command('containerd') && command('ctr') },
  { package: 'debootstrap', found: () => command('debootstrap') },
  { package: 'e2fsprogs', found: () => command('mkfs.ext4') },
  { package: 'xfsprogs', found: () => command('mkfs.xfs') },
  { package: 'exfatprogs', found: () => command('mkfs.exfat') },
  { package: 'exfat-fuse', found: () => command('mount.exfat-fuse') },
  { package: 'dosfstools', found: () => command('mkfs.vfat') },
  { package: 'fusefat', found: () => command('fusefat') },
  { package: 'mtools', found: () => command('mcopy') },
  { package: 'strace', found: () => command('strace') },
  { package: 'softhsm2', found: () => command('softhsm2-util') },
  { package: 'opensc', found: () => command('pkcs11-tool') },
  { package: 'libengine-pkcs11-openssl', found: () => spawnSync('openssl', ['engine', 'pkcs11']).status === 0 },
]

const BROWSER = [{ package: 'chromium', found: () => command('chromium') }]

const WINDOWS = [{ package: 'wine', found: () => command('wine') }]

/** One compiler for each processor, this machine's own among them. */
const PREBUILD = [
  { package: 'make', found: () => command('make') },
  { package: 'python3', found: () => command('python3') },
  { package: 'pkg-config', found: () => command('pkg-config') },
  { package: 'libnode-dev', found: () => nodeHeaders() !== undefined },
  ...['x86-64', 'aarch64'].map(processor => ({
    package: processor === OWN_PROCESSOR ? 'g++-12' : `g++-12-${processor}-linux-gnu`,
    found: () => command(`${processor.replace('-', '_')}-linux-gnu-g++-12`),
  })),
]

/** For scripts/prebuild-windows.mjs, with what unpacks the sources of the compressors. */
const MINGW = [
  { package: 'g++-mingw-w64-x86-64-posix', found: () => command('x86_64-w64-mingw32-g++-posix') },
  { package: 'dpkg-dev', found: () => command('dpkg-source') },
]

const EMULATOR = [{ package: 'qemu-user-static', found: () => command('qemu-aarch64-static') }]

const FORMAT = [{ package: 'clang-format-19', found: () => command('clang-format-19') }]

const LINT = [...FORMAT, { package: 'clang-tidy-19', found: () => command('clang-tidy-19') }]

/** The requirements of each purpose, with the reason for each group. */
export const PURPOSES = {
  format: [{ why: 'to lay out the native code', needs: FORMAT }],
  lint: [
    { why: 'for the headers that the native code includes', needs: BUILD },
    { why: 'to check the native code', needs: LINT },
  ],
  prebuild: [{ why: 'to make the addons of the npm package', needs: [...PREBUILD, ...MINGW] }],
  mingw: [{ why: 'to make the addon for Windows', needs: [...BUILD, ...MINGW] }],
  arm64: [
    { why: 'to make the addons of the npm package', needs: PREBUILD },
    { why: 'to make test images and to judge ours by', needs: TEST },
    { why: 'to run programs for arm64', needs: EMULATOR },
  ],
  build: [{ why: 'to build the native addon', needs: BUILD }],
  test: [
    { why: 'to build the native addon', needs: BUILD },
    { why: 'to make test images and to judge ours by', needs: TEST },
  ],
  engines: [
    { why: 'to build the native addon', needs: BUILD },
    { why: 'to make test images and to judge ours by', needs: TEST },
    { why: 'to load into a real Docker Engine and fill a disk', needs: ENGINE },
  ],
  browser: [
    { why: 'to build the native addon', needs: BUILD },
    { why: 'to make test images and to judge ours by', needs: TEST },
    { why: 'to show pages', needs: BROWSER },
  ],
  windows: [
    { why: 'to build the native addon', needs: BUILD },
    { why: 'to make test images and to judge ours by', needs: TEST },
    { why: 'to have a Docker Engine behind a pipe of Windows', needs: ENGINE },
    { why: 'to make the addon for Windows', needs: MINGW },
    { why: 'to run programs for Windows', needs: WINDOWS },
  ],
  consumers: [
    { why: 'to build the native addon', needs: BUILD },
    { why: 'to make test images and to judge ours by', needs: TEST },
    { why: 'to load into a real Docker Engine and fill a disk', needs: ENGINE },
    { why: 'for the command line of Windows', needs: WINDOWS },
  ],
}

/** Whether the lists that apt-get has by now know such a package. */
export function packaged(name) {
  return /Candidate: (?!\(none\))/.test(spawnSync('apt-cache', ['policy', name], { encoding: 'utf8' }).stdout ?? '')
}

/** The groups of `purpose` that miss something, each with the packages that bring it. */
export function missing(purpose) {
  return PURPOSES[purpose]
    .map(({ why, needs }) => ({ why, packages: needs.filter(need => !need.found()).map(need => need.package) }))
    .filter(({ packages }) => packages.length > 0)
}
