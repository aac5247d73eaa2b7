import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { sampleWim, SAMPLE, testHost, type TestHost, versionProperties } from '../support/base-images.js'
import { startRegistry } from '../support/registry.js'

interface Row {
  readonly then: string
  readonly now: string
}

const page = readFileSync(fileURLToPath(new URL('../../docs/from-2016.md', import.meta.url)), 'utf8')
const rows = page.split('\n').flatMap((line): Row[] => {
  const [, then, now] = /^\| `(.+)` \| `(.+)` \|$/.exec(line) ?? []
  return then === undefined || now === undefined
    ? []
    : [{ then: then.replaceAll('\\|', '|'), now: now.replaceAll('\\|', '|') }]
})

t.test('the page has every command of 2016, each on one line', async t => {
  t.equal(
    rows.length,
    page.split('\n').filter(line => line.startsWith('| `')).length,
    'and every line of its tables is read',
  )
  const cmdlets = [
    'Find-ContainerImage',
    'Save-ContainerImage',
    'Install-ContainerImage',
    'Find-Package',
    'Save-Package',
    'Install-Package',
    'Get-PackageSource',
    'Register-PackageSource',
    'Unregister-PackageSource',
    'Set-PackageSource',
    'Install-ContainerOSImage',
    'Uninstall-ContainerOSImage',
    'Get-ContainerImage',
    'New-ContainerImage',
    'Remove-ContainerImage',
    'Test-ContainerImage',
    ...['images', 'tag', 'commit', 'rmi', 'history', 'search', 'pull', 'push', 'login', 'logout', 'load', 'save'].map(
      verb => `docker ${verb}`,
    ),
  ]
  for (const cmdlet of cmdlets)
    t.ok(
      rows.some(({ then }) => then.startsWith(cmdlet)),
      cmdlet,
    )
})

/** A container is made where an engine is: here its command is only parsed. */
const PARSED = ['commit']
/** Verbs of the store: where this version has them, they are run as all others are. */
const OF_THE_STORE = ['images', 'history', 'tag', 'rmi', 'commit', 'uninstall']

/** A host with sources, an installed image, a bundle and an archive, as one was that had been used for a while. */
async function used(
  t: Test,
  domain: string,
): Promise<{ readonly host: TestHost; readonly words: Readonly<Record<string, string>> }> {
  const host = testHost(t)
  const at = (name: string): string => join(host.root, name)
  mkdirSync(at('images'))
  sampleWim(at('wims/new.wim'))
  sampleWim(at('wims/old.wim'), ...versionProperties(14300, 1000))
  const store = host.env['STOWAGE_STORE'] ?? ''
  for (const words of [
    ['source', 'add', 'lab', 'wims', '--trusted'],
    ['install', '--wim', SAMPLE, '--to', 'oci:'],
    ['install', '--wim', SAMPLE, '--to', `docker://${domain}`],
    ['copy', `wim:${SAMPLE}`, `oci:${store}`, '--tag', `${domain}/library/nanoserver:10.0.14300.1010`],
    ['pack', `wim:${SAMPLE}`, '-o', 'bundle'],
    ['copy', `wim:${SAMPLE}`, 'docker-archive:archive.tar'],
  ]) {
    const { code, stderr } = await host.run(words)
    if (code !== 0) throw new Error(`${words.join(' ')}: ${stderr}`)
  }
  return {
    host,
    words: {
      WIM: SAMPLE,
      BUNDLE: 'bundle',
      ARCHIVE: 'archive.tar',
      STORE: store,
      CONTAINER: '475059caef8f',
      REGISTRY: domain,
    },
  }
}

t.test('every command of today on the page does what it says', async t => {
  const { domain } = await startRegistry(t)
  const { host, words: known } = await used(t, domain)
  const kept = `${host.root}.kept`
  cpSync(host.root, kept, { recursive: true })
  t.teardown(() => rmSync(kept, { recursive: true, force: true }))
  const { stdout: help } = await host.run(['--help'])
  const exists = (now: string): boolean => new RegExp(`^  ${now.split(' ')[1]} `, 'm').test(help)
  const awaited = rows.map(({ now }) => now).filter(now => !exists(now) && !now.includes(' --version'))
  t.same(
    awaited.filter(now => !OF_THE_STORE.includes(now.split(' ')[1] ?? '')),
    [],
    'what is not there is none of ours',
  )
  for (const now of new Set(rows.map(row => row.now).filter(command => !awaited.includes(command)))) {
    rmSync(host.root, { recursive: true })
    cpSync(kept, host.root, { recursive: true })
    const forgotten = / source remove (\w+)/.exec(now)?.[1]
    if (forgotten !== undefined) await host.run(['source', 'add', forgotten, 'https://images.example/old.json'])
    if (now.includes(' logout ')) await host.run(['login', '-u', 'jo', '-p', 'secret', domain])
    for (const line of now.split(' && ')) {
      let input = join(host.root, 'password')
      writeFileSync(input, 'secret')
      for (const command of line.split(' | ')) {
        const words = wordsOf(command, known)
        const done = await host.run(PARSED.includes(words[0] ?? '') ? [words[0] ?? '', '--help'] : words, { input })
        t.equal(done.code, 0, `${command}: ${done.stderr}`)
        writeFileSync((input = join(host.root, 'piped')), done.stdout)
      }
    }
  }
})

/** Without the command's own name. */
function wordsOf(command: string, known: Readonly<Record<string, string>>): readonly string[] {
  const [, ...words] = command.match(/'[^']*'|\S+/g) ?? []
  return words.map(word => word.replace(/^'|'$/g, '').replace(/\b[A-Z]{3,}\b/g, name => known[name] ?? name))
}
