import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commandFile, stowage } from '../support/command.js'
import { startFakeEngine } from '../support/fake-engine.js'
import { layeredImage, writeLayout } from '../support/images.js'

const WIM = join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')

const home = t.testdir({ 'my dir': {}, 'site-a': {}, 'site-a.tar': '', 'a b.tar': '', '.hidden': '' })
await writeLayout(join(home, 'store'), { 'shop:2.3': await layeredImage(1) })
mkdirSync(join(home, 'bin'))
writeFileSync(join(home, 'bin', 'stowage'), `#!/bin/sh\nexec '${process.execPath}' '${commandFile()}' "$@"\n`)
chmodSync(join(home, 'bin', 'stowage'), 0o755)
const env = {
  ...process.env,
  HOME: home,
  PATH: `${join(home, 'bin')}:${process.env['PATH'] ?? ''}`,
  STOWAGE_STORE: join(home, 'store'),
  DOCKER_HOST: 'unix:///nowhere.sock',
}

/** What `shell` prints for a script, without blocking the engine of a test. */
async function printed(shell: string, args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const child = spawn(shell, args, { cwd: home, env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  child.stdout.on('data', (piece: Buffer) => (text += piece))
  child.stderr.on('data', (piece: Buffer) => (text += piece))
  await new Promise(resolve => child.once('close', resolve))
  return text
}

async function proposed(words: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const { code, stdout, stderr } = await stowage(['__complete', ...words], {
    cwd: home,
    env: { HOME: home, STOWAGE_STORE: env.STOWAGE_STORE, DOCKER_HOST: env.DOCKER_HOST, ...more },
  })
  t.equal(`${code}${stderr}`, '0', words.join(' '))
  return stdout.split('\n').flatMap(line => (line === '' ? [] : (line.split('\t')[0] ?? [])))
}

t.test('stowage __complete proposes commands, options, their values, paths and locations', async t => {
  for (const [words, expected] of [
    [['pa'], ['pack']],
    [
      ['layer', 'from'],
      ['from-wim', 'from-dir'],
    ],
    [['wim', 'ca'], ['capture']],
    [['help', 'wim', 'mountr'], ['mountrw']],
    [['pack', '--outp'], ['--output']],
    [['pack', '-o', 'x', '--outp'], []],
    [['pack', '--platform', 'linux/amd64', '--platf'], ['--platform']],
    [['images', '--no-t'], ['--no-trunc']],
    [
      ['pack', '--foreign-layers', ''],
      ['keep', 'plain'],
    ],
    [['pack', '--foreign-layers=p'], ['--foreign-layers=plain']],
    [['pack', '--compression', 'z'], ['zstd']],
    [['--progress', 'n'], ['none']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish', 'powershell'],
    ],
    [
      ['pack', 'oci'],
      ['oci:', 'oci-archive:'],
    ],
    [['copy', 'a', 'docker:'], ['docker://']],
    [['pack', 'oci:si'], ['oci:site-a/']],
    [
      ['pack', 'bundle:si'],
      ['bundle:site-a/', 'bundle:site-a.tar'],
    ],
    [
      ['verify', 's'],
      ['site-a/', 'site-a.tar', 'store/'],
    ],
    [['save', '--path', 'si'], ['site-a/']],
    [['wim', 'capture', 'my'], ['my dir/']],
    [
      ['wim', 'extract', WIM, ''],
      ['1', '2'],
    ],
    [
      ['wim', 'export', WIM, ''],
      ['1', '2'],
    ],
    [['wim', 'apply', WIM, '1', 'my'], ['my dir/']],
    [['wim', 'apply', WIM, '2'], ['2']],
    [['wim', 'extract', 'site-a.tar', ''], []],
    [['pack', 'oci:store:'], ['oci:store:shop:2.3']],
    [['rmi', 's'], ['shop:2.3']],
    [['nonsense', ''], []],
    [['load', 'nothing', ''], []],
  ] as const)
    t.same(await proposed(words), expected, words.join(' '))
})

t.test('images of the engine are proposed, and an engine that does not answer takes no second', async t => {
  const engine = await startFakeEngine(({ path }) =>
    path.endsWith('/images/json')
      ? { body: [{ Id: `sha256:${'0'.repeat(64)}`, RepoTags: ['team/app:1', 'nginx:1.27', '<none>:<none>'] }] }
      : path.includes('/containers/json')
        ? {
            body: [
              { Id: '1', Names: ['/web'] },
              { Id: '2', Names: ['/worker', '/web/worker'] },
            ],
          }
        : path === '/version'
          ? { body: { ApiVersion: '1.44', Os: 'linux', Arch: 'amd64' } }
          : undefined,
  )
  t.teardown(async () => await engine.stop())
  const here = { DOCKER_HOST: engine.host }
  t.same(await proposed(['rmi', ''], here), ['team/app:1', 'nginx:1.27'])
  t.same(await proposed(['pack', 'docker-daemon:te'], here), ['docker-daemon:team/app:1'])
  t.same(await proposed(['commit', 'w'], here), ['web', 'worker'])
  t.same(await proposed(['commit', ''], { DOCKER_HOST: 'tcp://127.0.0.1:9' }), [])
  t.same(
    await proposed(['rmi', ''], { DOCKER_HOST: 'tcp://127.0.0.1:9' }),
    ['shop:2.3'],
    'one on the network is not asked',
  )
})

const LINES: readonly (readonly [line: string, words: readonly string[], bash: readonly string[]])[] = [
  ['stowage pac', ['stowage', 'pac'], ['pack']],
  ['stowage layer ch', ['stowage', 'layer', 'ch'], ['check']],
  ['stowage pack oci:si', ['stowage', 'pack', 'oci', ':', 'si'], ['site-a/']],
  ['stowage pack oci:', ['stowage', 'pack', 'oci', ':'], ['bin/', 'my\\ dir/', 'site-a/', 'store/', ':shop:2.3']],
  ['stowage pack --output=si', ['stowage', 'pack', '--output', '=', 'si'], ['site-a/', 'site-a.tar']],
  ['stowage verify a', ['stowage', 'verify', 'a'], ['a\\ b.tar']],
  ['stowage verify "a', ['stowage', 'verify', '"a'], ['a b.tar']],
]

for (const [name, library] of [
  ['bash', ''],
  ['bash with bash-completion', 'source /usr/share/bash-completion/bash_completion;'],
]) {
  t.test(`stowage completion bash completes in ${name}`, async t => {
    for (const [line, words, expected] of LINES) {
      const script = `${library ?? ''} source <(stowage completion bash)
        COMP_LINE=$1 COMP_POINT=\${#1}; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _stowage
        printf '%s\\n' "\${COMPREPLY[@]}"; complete -p stowage`
      const text = await printed('bash', ['--norc', '-c', script, 'bash', line, ...words])
      t.same(text.split('\n'), [...expected, 'complete -F _stowage stowage', ''], line)
    }
  })
}

t.test('stowage completion fish completes in fish', async t => {
  for (const [line, expected] of [
    ['stowage pac', ['pack']],
    ['stowage pack oci:si', ['oci:site-a/']],
    ['stowage pack --output=si', ['--output=site-a.tar', '--output=site-a/']],
    ['stowage verify a', ['a b.tar']],
    ['stowage layer ch', ['check']],
  ] as const) {
    const text = await printed('fish', [
      '--no-config',
      '-c',
      'stowage completion fish | source; complete -C $argv[1]',
      line,
    ])
    const words = text.split('\n').flatMap(each => (each === '' ? [] : (each.split('\t')[0] ?? [])))
    t.same(words.sort(), [...expected].sort(), line)
  }
})

t.test('stowage completion zsh completes in zsh', async t => {
  // zsh completes only in a terminal: Tab completes, and Ctrl-T prints what the line has become
  const script = `zmodload zsh/zpty; zpty z zsh -f -i
    zpty -w z 'PS1=; autoload -U compinit; compinit -D -u; source <(stowage completion zsh)'
    zpty -w z 'bindkey "^I" complete-word; show() { print -r -- "<""<$BUFFER>>"; BUFFER=; }; zle -N show; bindkey "^T" show'
    zpty -w z 'print READY""READY'; zpty -r -m z out '*READYREADY*'
    for line in "$@"; do zpty -n -w z "$line"$'\\t\\x14'; zpty -r -m z out '*<<*>>*'; print -r -- "$out"; done; zpty -d z`
  for (const [line, expected] of [
    ['stowage pac', 'stowage pack '],
    ['stowage pack oci:si', 'stowage pack oci:site-a/'],
    ['stowage pack --outp', 'stowage pack --output '],
    ['stowage verify a', 'stowage verify a\\ b.tar '],
    ['stowage layer ch', 'stowage layer check '],
  ] as const) {
    const text = await printed('zsh', ['-f', '-c', script, 'zsh', line])
    t.equal(/<<(.*)>>/.exec(text)?.[1], expected, line)
  }
})

t.test('stowage completion has a script for PowerShell, and says which shells there are', async t => {
  t.match(await stowage(['completion', 'powershell']), { code: 0, stdout: /Register-ArgumentCompleter -Native/ })
  t.match(await stowage(['completion', 'tcsh']), { code: 2, stderr: /expected one of bash, zsh, fish, powershell/ })
})
