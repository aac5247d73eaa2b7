import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { sampleWim, SAMPLE, testHost, type TestHost, versionProperties } from '../support/base-images.js'
import { type CommandResult } from '../support/command.js'
import { startRegistry } from '../support/registry.js'

/** What a command works on, as the page explains it. */
const STORES = ['none', 'any', 'any, or a bundle', 'bundle', 'engine'] as const

interface Row {
  readonly then: string
  readonly now: string
  readonly store: (typeof STORES)[number]
}

const page = readFileSync(fileURLToPath(new URL('../../docs/from-2016.md', import.meta.url)), 'utf8')
const rows = page.split('\n').flatMap((line): Row[] => {
  const [, then, now, last] = /^\| `(.+)` \| `(.+)` \| ([^|]+) \|$/.exec(line) ?? []
  const store = STORES.find(each => each === last)
  return then === undefined || now === undefined || store === undefined
    ? []
    : [{ then: then.replaceAll('\\|', '|'), now: now.replaceAll('\\|', '|'), store }]
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

t.test('every command of today on the page does what it says, without an engine where it says so', async t => {
  const { domain } = await startRegistry(t)
  const { host, words: known } = await used(t, domain)
  const kept = `${host.root}.kept`
  cpSync(host.root, kept, { recursive: true })
  t.teardown(() => rmSync(kept, { recursive: true, force: true }))
  /** Runs the commands of a row one after the other, those of a pipe with the output of the one before. */
  const run = async (now: string, env: Readonly<Record<string, string>>): Promise<CommandResult> => {
    rmSync(host.root, { recursive: true })
    cpSync(kept, host.root, { recursive: true })
    const forgotten = / source remove (\w+)/.exec(now)?.[1]
    if (forgotten !== undefined) await host.run(['source', 'add', forgotten, 'https://images.example/old.json'])
    if (now.includes(' logout ')) await host.run(['login', '-u', 'jo', '-p', 'secret', domain])
    for (const line of now.split(' && ')) {
      let input = join(host.root, 'password')
      writeFileSync(input, 'secret')
      for (const command of line.split(' | ')) {
        done = await host.run(wordsOf(command, known), { input, env: { ...host.env, ...env } })
        if (done.code !== 0) return done
        writeFileSync((input = join(host.root, 'piped')), done.stdout)
      }
    }
    return done
  }
  let done: CommandResult = { code: -1, stdout: '', stderr: '' }
  for (const { now, store } of new Map(rows.map(row => [row.now, row])).values()) {
    const { code, stderr } = await run(now, {})
    if (store === 'engine') {
      t.not(code, 0, now)
      t.match(stderr, /docker-daemon:/, `${now} says that it needs an engine`)
      continue
    }
    t.equal(code, 0, `${now}: ${stderr}`)
    if (store === 'none' || store === 'bundle') {
      const without = await run(now, { STOWAGE_STORE: '/dev/null' })
      t.equal(without.code, 0, `${now} touches no store: ${without.stderr}`)
    }
    if (store === 'any, or a bundle') {
      const there = now.includes('oci:STORE')
        ? now.replace('oci:STORE', 'bundle:BUNDLE')
        : `${now} --store bundle:BUNDLE`
      const looked = await run(there, { STOWAGE_STORE: '/dev/null' })
      t.equal(looked.code, 0, `${there}: ${looked.stderr}`)
    }
  }
})

/** Without the command's own name. */
function wordsOf(command: string, known: Readonly<Record<string, string>>): readonly string[] {
  const [, ...words] = command.match(/'[^']*'|\S+/g) ?? []
  return words.map(word => word.replace(/^'|'$/g, '').replace(/\b[A-Z]{3,}\b/g, name => known[name] ?? name))
}
