import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { stowage } from '../support/command.js'

const SAMPLE = join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')

const cwd = t.testdir({
  'page.tar': '<!DOCTYPE html><html><body>404 Not Found</body></html>\n'.repeat(20),
  'data.tar': '<?xml version="1.0" encoding="utf-8"?><list/>\n'.repeat(20),
  'short.tar': 'host.example\n',
  'text.tar': 'not a tar at all\n'.repeat(200),
})
copyFileSync(SAMPLE, join(cwd, 'base.tar'))
writeFileSync(join(cwd, 'base.wim.gz'), gzipSync(readFileSync(SAMPLE)))
writeFileSync(join(cwd, 'page.gz'), gzipSync(readFileSync(join(cwd, 'page.tar'))))
for (const format of ['zip', '7zip', 'iso9660'])
  execFileSync('bsdtar', ['--format', format, '-cf', `${format}.tar`, 'text.tar'], { cwd })

const FILES: readonly (readonly [file: string, what: string, hint: RegExp])[] = [
  ['base.tar', 'base.tar is a WIM file, not a', /stowage (?:pack wim:base\.tar|layer from-wim)/],
  [
    'base.wim.gz',
    'base.wim.gz, decompressed, is a WIM file, not a',
    /gzip -dc base\.wim\.gz > base\.wim\. Pack it: stowage pack wim:base\.wim -o BUNDLE/,
  ],
  ['page.gz', 'page.gz, decompressed, is a web page, not a', /hint: A server probably sent this page/],
  ['zip.tar', 'zip.tar is a zip archive, not a', /unzip zip\.tar/],
  ['7zip.tar', '7zip.tar is a 7z archive, not a', /7z x 7zip\.tar/],
  ['iso9660.tar', 'iso9660.tar is an ISO image, not a', /7z x iso9660\.tar/],
  ['page.tar', 'page.tar is a web page, not a', /download it again/],
  ['data.tar', 'data.tar is an XML document, not a', /download it again/],
  ['short.tar', 'short.tar is not a tar: it has 13 bytes', /If it should be one/],
  ['text.tar', 'text.tar is not a tar: its first 512 bytes', /If it should be one/],
]

for (const words of [['verify'], ['load'], ['copy', 'docker-archive:', 'oci:to'], ['copy', 'oci-archive:', 'oci:to']]) {
  t.test(`${words.join(' ')} - calls a file that is no tar what it is, and not damaged`, async t => {
    for (const [file, what, hint] of FILES) {
      const [verb = '', scheme = '', ...more] = words
      const { code, stdout, stderr } = await stowage([verb, `${scheme}${file}`, ...more], { cwd })
      t.not(code, 0, file)
      const said = stderr + stdout // a finding of verify is a result
      t.match(said, what)
      if (!(verb === 'verify' && /^(?:short|text)/.test(file))) t.match(said, hint)
      t.notMatch(said, /damaged|truncated/)
    }
  })
}

t.test('layer check - calls a file that is no layer what it is', async t => {
  for (const [file, what] of [
    ['base.tar', 'base.tar is a WIM, not a layer'],
    ['zip.tar', 'zip.tar is a zip archive, not a layer'],
    ['7zip.tar', '7zip.tar is a 7z archive, not a layer'],
    ['page.tar', 'page.tar is a web page, not a layer'],
  ] as const) {
    const { code, stderr } = await stowage(['layer', 'check', file], { cwd })
    t.not(code, 0, file)
    t.match(stderr, what)
    t.notMatch(stderr, /damaged|truncated/)
  }
})
