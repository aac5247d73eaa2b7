import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { commandFile, stowage } from '../support/command.js'
import { multiPlatformImage } from '../support/images.js'
import { pushWithSkopeo, startRegistry } from '../support/registry.js'

/** What V8 says a command loaded: modules of ours below dist/, and the packages of others. */
async function loadedBy(
  words: readonly string[],
  directory: string,
): Promise<{ own: readonly string[]; packages: readonly string[] }> {
  const { code, stderr } = await stowage(words, { env: { NODE_V8_COVERAGE: directory } })
  if (code !== 0) throw new Error(stderr)
  const urls = readdirSync(directory).flatMap(name => {
    const { result } = JSON.parse(readFileSync(join(directory, name), 'utf8')) as { result: readonly { url: string }[] } // as V8 writes it
    return result.map(({ url }) => url)
  })
  const files = urls.filter(url => url.startsWith('file:')).map(url => fileURLToPath(url))
  const root = dirname(dirname(commandFile()))
  return {
    own: files.filter(file => file.startsWith(root)).map(file => file.slice(root.length + 1)),
    packages: files.flatMap(file =>
      file.endsWith('/undici/index.js')
        ? ['undici: all of it']
        : (/.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? []),
    ),
  }
}

t.test(
  'a pack from a registry loads nothing that it has no use for: each module is a millisecond before the first byte',
  async t => {
    const registry = await startRegistry(t)
    await pushWithSkopeo(t, registry, 'team/shop:2.3', await multiPlatformImage())
    const directory = t.testdir()
    const { own, packages } = await loadedBy(
      ['pack', `docker://${registry.domain}/team/shop:2.3`, '-o', join(directory, 'site-a')],
      mkdtempSync(join(directory, 'loaded-')),
    )
    t.ok(
      own.includes('verbs/pack.js') && own.includes('registry/connection.js') && packages.includes('ssri'),
      'what is loaded is seen',
    )
    const rooms = new Set(own.map(file => dirname(file)))
    for (const room of ['engine', 'wim', 'images-file', 'serve', 'base-image', 'cli/wim', 'cli/layer'])
      t.notOk(rooms.has(room), room)
    for (const name of ['yargs', 'tar-stream', 'yaml', 'fzstd', 'semver', 'bcryptjs'])
      t.notOk(packages.includes(name), name)
    t.notOk(packages.includes('undici: all of it'), 'of undici its Agent alone')
    for (const file of [
      'bundle/tar-medium.js',
      'bundle/reader.js',
      'transport/oci/source.js',
      'transport/oci/destination.js',
      'transport/wim/source.js',
      'transport/engine/source.js',
      'image/inspection.js',
      'verbs/inspect.js',
      'registry/credential-program.js',
    ])
      t.notOk(own.includes(file), file)
  },
)
