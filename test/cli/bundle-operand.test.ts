import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const cwd = scratch(t)
await writeLayout(join(cwd, 'lay'), { 'shop:2.3': await layeredImage(2, { size: 100_000 }) })
for (const [output, location] of [
  ['site', 'oci:lay'],
  ['site.tar', 'oci:lay'],
  ['site.tar.zst', 'oci:lay'],
]) {
  const { code, stderr } = await stowage(['pack', String(location), '-o', String(output)], { cwd })
  if (code !== 0) throw new Error(stderr)
}
await stowage(['copy', 'oci:lay:shop:2.3', 'docker-archive:shop.tar'], { cwd })

t.test('verify and load take bundle:PATH, and say which command takes another location', async t => {
  t.match(await stowage(['verify', 'bundle:site'], { cwd }), { code: 0, stdout: /^site: OK/m })
  t.match(await stowage(['load', 'bundle:site.tar', '--to', 'oci:out'], { cwd }), { code: 0 })
  for (const location of ['oci:lay', 'docker-archive:shop.tar', 'docker://registry.example/shop:2.3']) {
    const verified = await stowage(['verify', location], { cwd })
    t.match(verified, { code: 2, stdout: '' }, location)
    t.equal(
      verified.stderr,
      `stowage: ${location} is not a bundle\nhint: verify checks bundles. To check every blob of ${location}, pack it: stowage pack ${location} -o BUNDLE.\n`,
    )
    const loaded = await stowage(['load', location, '--to', 'oci:out'], { cwd })
    t.match(loaded, { code: 2, stdout: '' }, location)
    t.equal(
      loaded.stderr,
      `stowage: ${location} is not a bundle\nhint: load takes a bundle. For an image anywhere else, use copy: stowage copy ${location} oci:out\n`,
    )
  }
  for (const hint of ['pack oci:lay -o hinted', 'copy oci:lay oci:hinted-too'])
    t.match(await stowage(hint.split(' '), { cwd }), { code: 0 }, `the hint can be followed: ${hint}`)
  t.ok(existsSync(join(cwd, 'hinted', 'bundle.json')))
  t.match(await stowage(['verify', 'bundle:site:shop:2.3'], { cwd }), {
    code: 2,
    stderr: /bundle:site:shop:2\.3 is one image of a bundle\nhint: Name the bundle: site\.\n/,
  })
  t.match(await stowage(['verify', 'lay'], { cwd }), {
    code: 4,
    stderr: /hint: It is an OCI image layout, not a bundle/,
  })
})

t.test('pack, verify and du agree on the size of a bundle', async t => {
  const du = (path: string): number =>
    execFileSync('sh', ['-c', `find '${path}' -type f -print0 | du -b --files0-from=- -c | tail -n 1`], { cwd })
      .toString()
      .split('\t')
      .map(Number)[0] ?? 0
  for (const output of ['site', 'site.tar', 'site.tar.zst']) {
    const packed = await stowage(['pack', 'oci:lay', '-o', `again-${output}`, '--json'], { cwd })
    const { size } = JSON.parse(packed.stdout) as { size: number }
    t.equal(size, du(`again-${output}`), `pack ${output}`)
    const verified = await stowage(['verify', `again-${output}`, '--json'], { cwd })
    const report = JSON.parse(verified.stdout) as { size: number; archiveSize?: number }
    t.equal(report.archiveSize ?? report.size, size, `verify ${output}`)
    const shown = [
      await stowage(['pack', 'oci:lay', '-o', `shown-${output}`], { cwd }),
      await stowage(['verify', `shown-${output}`], { cwd }),
    ]
    const [said, found] = shown.map(
      ({ stdout }) => /(?:of|,) ([\d.]+[kM]?B)/.exec(stdout.split('\n').at(-2) ?? '')?.[1],
    )
    t.ok(said)
    t.equal(found, said, `${output}: the same size in words`)
  }
})

t.test('a file that may not be read or written is told without codes, with what to do', async t => {
  const words = ['--bounding-set=-dac_override,-dac_read_search', '--inh-caps=-all']
  const run = (...command: readonly string[]): { code: number; stderr: string } => {
    try {
      execFileSync('setpriv', [...words, 'sh', '-c', 'exec "$@" 2>&1 >/dev/null', 'sh', ...command], {
        cwd,
        encoding: 'utf8',
      })
      return { code: 0, stderr: '' }
    } catch (error) {
      const { status, stdout } = error as { status: number; stdout: string }
      return { code: status, stderr: stdout }
    }
  }
  const { commandFile } = await import('../support/command.js')
  execFileSync('sh', ['-c', 'mkdir locked && chmod 555 locked && cp site.tar secret.tar && chmod 000 secret.tar'], {
    cwd,
  })
  const hint = /\nhint: Run the command as a user who has access, or change the permissions/
  const node = [process.execPath, commandFile()]
  for (const command of [
    ['pack', 'oci:lay', '-o', 'locked/site'],
    ['pack', 'oci:lay', '-o', 'locked/site.tar'],
    ['verify', 'secret.tar'],
  ]) {
    const { code, stderr } = run('env', '-u', 'NODE_OPTIONS', ...node, ...command)
    t.equal(code, 1, stderr)
    t.match(stderr, /^stowage: \S+: permission denied\nhint/, command.join(' '))
    t.match(stderr, hint)
    t.notMatch(stderr, /EACCES|open '|mkdir '/)
  }
})
