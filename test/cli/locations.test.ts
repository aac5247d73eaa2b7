import { cpSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'

const SAMPLE = join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')
const REF = 'nanoserver:10.0.14300.1010'

const cwd = t.testdir({})
cpSync(SAMPLE, join(cwd, 'nano.wim'))

t.before(async () => {
  for (const to of ['oci:layout', 'bundle:nano.tar'])
    t.match(await stowage(['copy', 'wim:nano.wim', to], { cwd }), { code: 0 }, to)
})

t.test('a location in place of the name of an image is called one, with the command that takes it', async t => {
  for (const [words, hint] of [
    [['images', 'oci:layout'], 'Write: stowage images --store oci:layout'],
    [['images', 'bundle:nano.tar'], 'Write: stowage images --store bundle:nano.tar'],
    [['history', `oci:layout:${REF}`], `Write: stowage history --store oci:layout ${REF}`],
    [['history', 'wim:nano.wim'], 'It is no store. "stowage inspect wim:nano.wim" shows it.'],
    [['rmi', 'oci:layout'], 'Write: stowage rmi --store oci:layout NAME'],
    [['rmi', `oci:layout:${REF}`], `Write: stowage rmi --store oci:layout ${REF}`],
    [['tag', 'oci:layout', 'mine'], 'Write: stowage tag --store oci:layout SOURCE TARGET'],
    [['pull', `oci:layout:${REF}`], `pull takes names in registries. Copy it: stowage copy oci:layout:${REF} TO`],
    [['push', 'oci:layout'], 'push takes names in registries. Write: stowage push REGISTRY/NAME --from oci:layout'],
  ] as const) {
    const { code, stderr } = await stowage(words, { cwd })
    t.equal(code, 2, words.join(' '))
    t.equal(stderr, `stowage: ${words[1]} is a location, not the name of an image\nhint: ${hint}\n`, words.join(' '))
  }
  // What the hints say works
  t.match(await stowage(['images', '--store', 'oci:layout'], { cwd }), { code: 0, stdout: /nanoserver +10\.0/ })
  t.match(await stowage(['history', '--store', 'oci:layout', REF], { cwd }), { code: 0 })
  t.match(await stowage(['rmi', '--store', 'oci:layout', REF], { cwd }), { code: 0, stdout: /Untagged: nanoserver/ })
})

t.test('a name that only looks like a location is a name, if nothing is there', async t => {
  t.match(await stowage(['images', '--store', 'bundle:nano.tar', 'oci:latest'], { cwd }), { code: 0, stderr: '' })
})

t.test('inventory refuses a bare name of a file or directory with what to write, and takes its path', async t => {
  for (const [place, what] of [
    ['nano.tar', 'nano.tar is a bundle\nhint: Write bundle:nano.tar.'],
    ['layout', 'layout is an OCI layout\nhint: Write oci:layout.'],
  ] as const)
    t.match(await stowage(['inventory', place], { cwd }), { code: 2, stderr: `stowage: ${what}` })
  const { code, stdout } = await stowage(['inventory', './nano.tar'], { cwd })
  t.equal(code, 0)
  t.match(JSON.parse(stdout), { schema: 'stowage.inventory/v1', place: 'bundle:./nano.tar' })
})

t.test('a short scheme with a wrong letter gets "did you mean" if the path exists', async t => {
  for (const [text, meant] of [
    ['ocii:layout', 'oci:layout'],
    ['oc:layout', 'oci:layout'],
    ['win:nano.wim', 'wim:nano.wim'],
  ] as const)
    t.match(await stowage(['copy', text, 'oci:other'], { cwd }), {
      code: 2,
      stderr: `"${text}" is not a location\nhint: Did you mean ${meant}?`,
    })
  for (const [text, meant] of [
    ['ocii:new', 'oci:new'],
    ['win:new.wim', 'wim:new.wim'],
  ] as const)
    t.match(await stowage(['copy', 'oci:layout', text], { cwd }), {
      code: 2,
      stderr: `"${text}" is not a location\nhint: Did you mean ${meant}?`,
    })
})

t.test('an OCI layout in place of a bundle is called one, with the commands that take it', async t => {
  const { stderr } = await stowage(['serve', 'layout'], { cwd })
  t.match(stderr, 'It is an OCI image layout, not a bundle.')
  t.match(stderr, '"stowage serve" and "stowage diff" take oci:layout.')
  t.match(await stowage(['diff', 'nano.tar', 'oci:layout'], { cwd }), { code: 0 })
})
