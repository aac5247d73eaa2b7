/**
 * A power cut after a command has said that it is done, or at the moment when a file gets its name, finds on the medium what
 * was promised. Seen from the order of the system calls (strace): no file system here forgets what was not synced.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { filledWim } from '../support/base-images.js'
import { stowage } from '../support/command.js'
import { layeredImage, noise, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'
import { traced, unsafe } from '../support/written-order.js'

const root = scratch(t)
const layout = join(root, 'layout')
await writeLayout(layout, { 'docker.io/team/shop:2.3': await layeredImage(3, { size: 1_500_000 }) })
mkdirSync(join(root, 'wims'))
writeFileSync(join(root, 'wims', 'nano.wim'), readFileSync(filledWim(t, { data: noise(1_500_000, 'wim') })))
const env = { STOWAGE_CONFIG: join(root, 'config') }
const added = await stowage(['source', 'add', 'wims', join(root, 'wims')], { env })
if (added.code !== 0) throw new Error(added.stderr)
const site = join(root, 'site')
const packed = await stowage(['pack', `oci:${layout}`, '-o', site])
if (packed.code !== 0) throw new Error(packed.stderr)

const FORMS: Readonly<Record<string, (directory: string) => readonly string[]>> = {
  'pack into a directory': directory => ['pack', `oci:${layout}`, '-o', join(directory, 'site')],
  'pack into a tar': directory => ['pack', `oci:${layout}`, '-o', join(directory, 'x.tar')],
  'pack into a compressed tar': directory => ['pack', `oci:${layout}`, '-o', join(directory, 'x.tar.gz')],
  'pack into volumes': directory => ['pack', `oci:${layout}`, '-o', join(directory, 'x.tar'), '--volume-size', '1MiB'],
  'copy to a layout': directory => ['copy', `oci:${layout}`, `oci:${join(directory, 'store')}`],
  'copy to an archive': directory => ['copy', `oci:${layout}`, `docker-archive:${join(directory, 'x.tar')}`],
  'load into a layout': directory => ['load', site, '--to', `oci:${join(directory, 'store')}`],
  save: directory => ['save', 'NanoServer', '--path', directory],
}

for (const [name, words] of Object.entries(FORMS)) {
  t.test(`${name} - a power cut finds on the medium what was said to be whole`, async t => {
    const directory = scratch(t)
    const lines = traced(t, words(directory), env)
    t.same(unsafe(lines, directory), [])
    const unsynced = lines.filter(line => !/fsync|fdatasync/.test(line))
    t.not(unsafe(unsynced, directory).length, 0, 'the check sees what is not synced')
  })
}
