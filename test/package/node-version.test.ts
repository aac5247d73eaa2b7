import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { satisfies } from 'semver'
import t from 'tap'
import { nodeVersionFault } from '../../src/node-version.js'
import { commandFile } from '../support/command.js'
import { npmPackage } from '../support/npm-package.js'

const root = join(import.meta.dirname, '../..')
const library = join(root, 'dist', 'index.js')

/** An old Node.js, as npm has it. */
function oldNode(major: number): string {
  return join(npmPackage(`node-linux-${process.arch}@${major}`), 'bin/node')
}

t.test('nodeVersionFault() takes the versions that package.json names, and no others', async t => {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { engines: { node: string } }
  for (const version of [
    ...['14.21.3', '16.20.2', '18.20.8', '19.9.0', '20.0.0', '20.18.3', '20.19.0', '20.20.2', '21.7.3', '22.0.0'],
    ...['22.11.0', '22.12.0', '22.22.0', '23.0.0', '24.1.0', '26.0.0'],
  ])
    t.equal(nodeVersionFault(version) === undefined, satisfies(version, engines.node), version)
})

for (const major of [16, 18]) {
  t.test(`Node.js ${major} is told in one line that it is too old, by the command and by the library`, async t => {
    const plain = ['-u', 'NODE_OPTIONS', oldNode(major)] // tap sets what old versions do not take
    const version = execFileSync('env', [...plain, '--version'], { encoding: 'utf8' })
      .trim()
      .slice(1)
    const fault = `Stowage needs Node.js 20.19 or later, or 22.12 or later; this is ${version}`
    for (const words of [['--version'], ['verify', 'x.tar'], ['wim', 'info', 'x.wim'], ['nonsense']]) {
      const { status, stdout, stderr } = spawnSync('env', [...plain, commandFile(), ...words], { encoding: 'utf8' })
      t.same({ status, stdout, stderr }, { status: 1, stdout: '', stderr: `stowage: ${fault}\n` }, words.join(' '))
    }
    const script = `import(${JSON.stringify(library)}).catch(({ code, message }) => console.log(code, message))`
    t.equal(execFileSync('env', [...plain, '-e', script], { encoding: 'utf8' }), `UNSUPPORTED ${fault}\n`)
  })
}
