import t, { type Test } from 'tap'
import { formatPlatform, parsePlatformSelector } from '../../../src/oci/platform.js'
import { knownPlatform } from '../../../src/transport/wim/platform.js'
import { openWim } from '../../../src/wim/wim-file.js'
import { stowage } from '../../support/command.js'
import { sampleWim } from '../../support/base-images.js'
import { join } from 'node:path'
import { chmodSync, readFileSync } from 'node:fs'

const NO_VERSION = ['MAJOR', 'MINOR', 'BUILD', 'SPBUILD'].map(part => `WINDOWS/VERSION/${part}=`)

/** What the XML of the sample says with `properties`, completed by `selectors`. */
async function known(t: Test, properties: readonly string[], ...selectors: readonly string[]): Promise<string> {
  await using wim = await openWim(sampleWim(join(t.testdir(), 'x.wim'), ...properties))
  const platform = knownPlatform(wim.image(1), selectors.map(parsePlatformSelector))
  return platform ? formatPlatform(platform) : 'unknown'
}

t.test('knownPlatform() takes from the selector what the XML does not state, and nothing else', async t => {
  const noArch = ['WINDOWS/ARCH=']
  t.equal(await known(t, [], 'windows/arm64:10.0.1'), 'windows/amd64:10.0.14300.1010')
  t.equal(await known(t, noArch), 'unknown')
  t.equal(await known(t, noArch, 'windows/arm64'), 'windows/arm64:10.0.14300.1010')
  t.equal(await known(t, noArch, 'windows/arm64:10.0.1'), 'windows/arm64:10.0.14300.1010')
  t.equal(await known(t, noArch, 'linux/amd64', 'windows/amd64'), 'windows/amd64:10.0.14300.1010')
  for (const selectors of [['linux/amd64'], ['windows'], ['windows/amd64', 'windows/arm64']])
    t.equal(await known(t, noArch, ...selectors), 'unknown', selectors.join(' '))
  t.equal(await known(t, NO_VERSION, 'windows/amd64:10.0.20348.1'), 'windows/amd64:10.0.20348.1')
  t.equal(await known(t, NO_VERSION, 'windows/arm64:10.0.20348.1'), 'windows/amd64')
  t.equal(await known(t, [...noArch, ...NO_VERSION], 'windows/amd64:10.0.20348.1'), 'windows/amd64:10.0.20348.1')
  t.equal(await known(t, [...noArch, ...NO_VERSION], 'windows/amd64'), 'windows/amd64')
})

t.test(
  '--platform packs, plans, copies and installs a WIM that states no architecture, and leaves it as it is',
  async t => {
    const cwd = t.testdir()
    const wim = sampleWim(join(cwd, 'x.wim'), 'WINDOWS/ARCH=')
    chmodSync(wim, 0o444)
    const before = readFileSync(wim)
    const run = async (...words: readonly string[]): ReturnType<typeof stowage> => await stowage(words, { cwd })
    const refused = await run('pack', 'wim:x.wim', '-o', 'refused')
    t.not(refused.code, 0)
    t.match(
      refused.stderr,
      /--platform windows\/amd64:10\.0\.14300\.1010, or set it in the file: stowage wim info x\.wim 1/,
    )
    const platform = ['--platform', 'windows/arm64']
    t.match(
      (await run('pack', 'wim:x.wim', '-o', 'b', ...platform, '--dry-run')).stdout,
      'windows/arm64:10.0.14300.1010',
    )
    for (const words of [
      ['pack', 'wim:x.wim', '-o', 'b'],
      ['copy', 'wim:x.wim', 'oci:copied'],
      ['install', '--wim', 'x.wim', '--to', 'oci:installed'],
    ])
      t.equal((await run(...words, ...platform)).code, 0, words.join(' '))
    for (const location of ['bundle:b', 'oci:copied', 'oci:installed']) {
      const { images } = JSON.parse((await run('inspect', location, '--json')).stdout) as {
        readonly images: readonly { readonly platforms: readonly { readonly platform: unknown }[] }[]
      }
      t.same(images[0]?.platforms[0]?.platform, {
        os: 'windows',
        architecture: 'arm64',
        'os.version': '10.0.14300.1010',
      })
    }
    const other = await run('copy', 'wim:x.wim', 'oci:other', '--platform', 'windows/arm64:10.0.1')
    t.not(other.code, 0)
    t.match(other.stderr, 'no image for windows/arm64:10.0.1')
    t.ok(readFileSync(wim).equals(before))
  },
)
