/** Loads into an engine that are killed at a random moment, and run again: what the engine has in between, and afterwards. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { stowage } from './command.js'
import type { TestEngine } from './engine.js'
import { layeredImage, runnableImage, writeLayout } from './images.js'
import { kill, random } from './kills.js'

const NAMES = ['kills/big:1', 'kills/small:1']

interface Loaded {
  readonly images: readonly { readonly sent: number; readonly skipped: number; readonly id: string }[]
}

/**
 * Kills `count` loads of a bundle with two images, some while a tar is piped in, and one of them when the first image is
 * in the engine and has no name yet.
 */
export async function killLoads(t: Test, engine: TestEngine, count: number, seed: number): Promise<void> {
  t.comment(`seed ${seed}`)
  const root = mkdtempSync(join(tmpdir(), 'stowage-kills-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  await writeLayout(join(root, 'layout'), {
    'kills/big:1': await layeredImage(4, { size: 1_500_000 }),
    'kills/small:1': await runnableImage(),
  })
  const env = { DOCKER_HOST: engine.host, TMPDIR: root }
  for (const output of ['site', 'site.tar']) {
    const images = NAMES.map(name => `oci:${join(root, 'layout')}:${name}`)
    const { code, stderr } = await stowage(['pack', ...images, '-o', join(root, output)])
    if (code !== 0) throw new Error(stderr)
  }
  const forms = [
    { words: ['load', join(root, 'site'), '--json'] },
    { words: ['load', '-', '--json'], input: join(root, 'site.tar') },
  ]
  const load = async (form: (typeof forms)[number]): Promise<Loaded> => {
    const { input } = form
    const { code, stdout, stderr } = await stowage(form.words, { env, ...(input === undefined ? {} : { input }) })
    t.equal(code, 0, stderr)
    return JSON.parse(stdout) as Loaded // the test looks at what it uses
  }
  const clear = async (): Promise<void> => {
    await engine.docker('rmi', '--force', ...NAMES)
    t.same(await tagsOf(engine), [], 'nothing of Stowage stays')
  }
  const start = Date.now()
  const undisturbed = await load(forms[0]!)
  const duration = Date.now() - start
  await clear()
  const next = random(seed)
  for (let n = 0; n < count; n++) {
    const form = forms[n % forms.length]!
    const place = { cwd: root, env, ...('input' in form ? { input: form.input } : {}) }
    if (n < forms.length) {
      // It is proved, or about to be: the temporary tag is there, and no other
      await stowage([...form.words, '--progress', 'json'], {
        ...place,
        onStderr: (child, text) => void (text.includes('"stage":"prove"') && child.kill('SIGKILL')),
      })
    } else await kill(form.words, place, next() * duration)
    for (const tag of await tagsOf(engine)) {
      const { code, stderr } = await engine.docker('save', '--output', join(root, 'saved.tar'), tag)
      t.equal(code, 0, `kill ${n}: ${tag} is whole: ${stderr}`)
    }
    const held = new Set(await idsOf(engine))
    const again = await load(form)
    for (const { id, sent } of again.images)
      if (held.has(id)) t.equal(sent, 0, `kill ${n}: an image that was there is not sent again`)
    t.same(
      again.images.map(({ id, sent, skipped }) => [id, sent + skipped]),
      undisturbed.images.map(({ id, sent, skipped }) => [id, sent + skipped]),
    )
    t.same(await tagsOf(engine), NAMES, `kill ${n}: the names are there, and no temporary ones`)
    await clear()
  }
}

async function tagsOf(engine: TestEngine): Promise<readonly string[]> {
  const { stdout } = await engine.docker('images', '--all', '--format', '{{.Repository}}:{{.Tag}}')
  return stdout
    .split('\n')
    .filter(line => line !== '' && !line.includes('<none>'))
    .sort()
}

async function idsOf(engine: TestEngine): Promise<readonly string[]> {
  const { stdout } = await engine.docker('images', '--all', '--no-trunc', '--format', '{{.ID}}')
  return stdout.split('\n').filter(line => line !== '')
}
