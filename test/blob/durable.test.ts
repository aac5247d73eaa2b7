import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeDirectory } from '../../src/blob/durable.js'

t.test(
  'makeDirectory() makes what is not there, at once or beside another, and ends where nobody can make any',
  async t => {
    const root = t.testdir()
    const deep = join(root, 'a', 'b', 'c')
    await Promise.all([makeDirectory(deep), makeDirectory(join(root, 'a', 'b', 'd')), makeDirectory(deep)])
    await makeDirectory(deep)
    for (let round = 0; round < 50; round++)
      await Promise.all(['x', 'y', 'z'].map(async name => await makeDirectory(join(root, String(round), 'a', name))))
    t.ok(statSync(deep).isDirectory())
    writeFileSync(join(root, 'file'), '')
    await t.rejects(makeDirectory(join(root, 'file')), { code: 'EEXIST' })
    await t.rejects(makeDirectory(join(root, 'file', 'below')), { code: 'ENOTDIR' })
    if (process.platform === 'linux') {
      await t.rejects(makeDirectory('/proc/stowage/below'), {
        code: 'UNSUPPORTED',
        message: /\/proc cannot hold directories/,
      })
    }
  },
)
