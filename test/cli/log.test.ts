/** `--log` and `stowage log`, as somebody at a site uses them. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runnableImage, writeLayout } from '../support/images.js'
import { type CommandOptions, type CommandResult, stowage } from '../support/command.js'

interface Place {
  readonly root: string
  run(words: string, options?: CommandOptions): Promise<CommandResult>
  entries(log?: string): Record<string, any>[]
}

async function place(t: Test): Promise<Place> {
  const root = t.testdir()
  await writeLayout(join(root, 'images'), { 'pump:1': await runnableImage() })
  return {
    root,
    run: async (words, options) => await stowage(words.split(' '), { cwd: root, ...options }),
    entries: (log = 'log') =>
      readFileSync(join(root, log), 'utf8')
        .split('\n')
        .slice(0, -1)
        .map(line => JSON.parse(line)),
  }
}

t.test('what is packed, verified, loaded, copied and signed is in the log, and what is refused', async t => {
  const { root, run, entries } = await place(t)
  t.match(await run('pack oci:images:pump:1 -o site --log log'), { code: 0 })
  const { digest } = JSON.parse((await run('verify site --log log --json')).stdout)
  t.match(await run('keygen desk --no-passphrase'), { code: 0 })
  t.match(await run('load site --to oci:y --key desk.pub --log log'), { code: 9 })
  t.match(await run('sign site --key desk.key --log log'), { code: 0 })
  t.match(await run('load site --to oci:x --key desk.pub --log log --receipt r.json'), { code: 0 })
  t.match(await run('copy oci:x:pump:1 oci:z --log log'), { code: 0 })
  t.match(await run('load site --to oci:x --dry-run --log log'), { code: 0 })
  writeFileSync(join(root, 'site/README.txt'), 'Load it all')
  t.match(await run('verify site --log log'), { code: 4 })
  t.match(await run('load nowhere --log log'), { code: 3 })
  const [, id] = /"digest":"(sha256:[0-9a-f]{64})"/.exec(readFileSync(join(root, 'images/index.json'), 'utf8')) ?? []
  t.match(entries(), [
    { seq: 1, command: 'pack', result: 'ok', bundle: { path: 'site', digest }, images: [{ id }] },
    { seq: 2, command: 'verify', result: 'ok', bundle: { path: 'site', digest } },
    { seq: 3, command: 'load', result: 'SIGNATURE_MISSING', to: 'oci:y', bundle: { path: 'site' } },
    { seq: 4, command: 'sign', result: 'ok', bundle: { digest } },
    { seq: 5, command: 'load', result: 'ok', bundle: { digest, signedBy: [/^[0-9a-f]{64}$/] }, images: [{ id }] },
    { seq: 6, command: 'copy', result: 'ok', from: 'oci:x:pump:1', to: 'oci:z', images: [{ id }] },
    { seq: 7, command: 'verify', result: 'SIZE_MISMATCH', message: /README.txt/, bundle: { digest } },
    { seq: 8, command: 'load', result: 'FILE_NOT_FOUND', message: /nowhere/ },
  ])
  t.equal(entries().length, 8, 'a dry run does nothing')
  t.match(await run('log verify log --receipt r.json'), { code: 0, stdout: /log: OK \(8 entries\)/ })
  const lines = readFileSync(join(root, 'log'), 'utf8').split('\n')
  writeFileSync(join(root, 'log'), `${lines.slice(0, 3).join('\n')}\n`)
  t.match(await run('log verify log'), { code: 0 })
  t.match(await run('log verify log --receipt r.json'), { code: 4, stdout: /^log:3: no line has the hash/m })
})

t.test('a log that cannot be written to ends the command before it does anything', async t => {
  const { root, run } = await place(t)
  writeFileSync(join(root, 'notes'), 'call the office\n')
  mkdirSync(join(root, 'directory'))
  t.match(await run('pack oci:images:pump:1 -o site --log notes'), {
    code: 4,
    stderr: /notes does not end as a log does: .*\nhint: /,
  })
  t.match(await run('pack oci:images:pump:1 -o site --log no/where'), { code: 3, stderr: /no does not exist/ })
  t.not((await run('pack oci:images:pump:1 -o site --log directory')).code, 0)
  t.match(await run('pack oci:images:pump:1 -o site --log-key desk.key'), { code: 2, stderr: /--log-key needs --log/ })
  t.notOk(existsSync(join(root, 'site')))
  t.equal(readFileSync(join(root, 'notes'), 'utf8'), 'call the office\n')
})

t.test("a site's policy has every command logged and signed, and --log adds a second log", async t => {
  const { root, run, entries } = await place(t)
  await run('keygen site --no-passphrase')
  mkdirSync(join(root, 'config'))
  writeFileSync(join(root, 'config/policy.yaml'), 'log: ../log\nlog-key: ../site.key\n')
  const env = { STOWAGE_CONFIG: join(root, 'config') }
  t.match(await run('pack oci:images:pump:1 -o bundle', { env }), { code: 0 })
  t.match(await run('verify bundle --log own', { env }), { code: 0 })
  t.match(entries(), [{ command: 'pack' }, { command: 'verify' }])
  t.match(entries('own'), [{ command: 'verify' }])
  t.match(await run('log verify log --key site.pub'), { code: 0 })
  t.match(await run('log merge own log -o all'), { code: 0, stdout: /all: OK \(3 entries\)/ })
})

t.test('commands that run at once leave one chain', async t => {
  const { run, entries } = await place(t)
  await run('pack oci:images:pump:1 -o bundle')
  const ran = await Promise.all(Array.from({ length: 6 }, async () => await run('verify bundle --log log')))
  t.same(
    ran.map(({ code }) => code),
    [0, 0, 0, 0, 0, 0],
  )
  t.equal(entries().length, 6)
  t.match(await run('log verify log'), { code: 0 })
})

t.test('an interruption is in the log', async t => {
  const { run, entries } = await place(t)
  const server = createServer().listen(0, '127.0.0.1') // which takes connections, and never answers
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  let child: ChildProcess | undefined
  server.once('connection', () => child?.kill('SIGINT'))
  const { code } = await run(`copy docker://127.0.0.1:${port}/pump:1 oci:z --log log`, {
    onSpawn: spawned => (child = spawned),
  })
  t.equal(code, 130)
  t.match(entries(), [{ command: 'copy', result: 'ABORTED', to: 'oci:z' }])
})
