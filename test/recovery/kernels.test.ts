import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { scratch } from '../support/scratch.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

t.test('every kernel, the matrix and the hashes agree with slow ones that follow the definitions', async t => {
  const program = join(scratch(t), 'kernels')
  const sources = ['galois', 'kernel', 'kernel_x86', 'kernel_arm', 'matrix', 'md5'].map(name =>
    join(root, 'native', 'recovery', `${name}.cc`),
  )
  const compiler = ['-std=c++17', '-O2', '-I', join(root, 'native'), '-o', program]
  execFileSync('g++', [...compiler, join(root, 'test/recovery/kernels.cc'), ...sources, '-lcrypto'])
  const kernels = execFileSync(program).toString().trim().split('\n')
  t.equal(kernels.at(-1), 'portable')
  if (process.arch === 'x64') t.ok(kernels.includes('ssse3'), `and of those of this processor: ${kernels.join(', ')}`)
  t.equal(
    readdirSync(join(root, 'native', 'recovery')).filter(name => name.startsWith('kernel')).length,
    4,
    'every kernel is compiled here',
  )
})
