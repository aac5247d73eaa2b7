import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
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
      t.equal(code, /^(?:short|text)/.test(file) ? 4 : 1, file)
      const said = stderr + stdout // a finding of verify is a result
      t.match(said, what)
      if (!(verb === 'verify' && /^(?:short|text)/.test(file))) t.match(said, hint)
      t.notMatch(said, /damaged|truncated/)
    }
  })
}

t.test(
  'a compressed archive that is cut short, and a directory that cannot be made, are told in our own words',
  async t => {
    writeFileSync(join(cwd, 'cut.tar.gz'), gzipSync(readFileSync(join(cwd, 'text.tar'))).subarray(0, 30))
    const cut = await stowage(['copy', 'docker-archive:cut.tar.gz', 'oci:to'], { cwd })
    t.match(cut, { code: 4, stderr: /cut\.tar\.gz is (?:not a tar|incomplete).*\nhint: Copy the file again/ })
    writeFileSync(join(cwd, 'text.gz'), gzipSync(readFileSync(join(cwd, 'text.tar'))))
    const text = await stowage(['copy', 'docker-archive:text.gz', 'oci:to'], { cwd })
    t.match(text, { code: 4, stderr: /text\.gz is not a tar\nhint: / })
    const there = await stowage(['wim', 'apply', SAMPLE, '1', '/proc/x'], { cwd })
    t.match(there, {
      code: 3,
      stderr: /"\/proc\/x\/?": No such .*\nhint: No directory can be made there: name another one/,
    })
    t.notMatch(there.stderr, /Ignoring/)
  },
)

t.test('layer check - calls a file that is no layer what it is', async t => {
  for (const [file, what] of [
    ['base.tar', 'base.tar is a WIM file, not a layer'],
    ['zip.tar', 'zip.tar is a zip archive, not a layer'],
    ['7zip.tar', '7zip.tar is a 7z archive, not a layer'],
    ['page.tar', 'page.tar is a web page, not a layer'],
  ] as const) {
    const { code, stderr } = await stowage(['layer', 'check', file], { cwd })
    t.equal(code, 1, file)
    t.match(stderr, what)
    t.notMatch(stderr, /damaged|truncated/)
  }
})

t.test('wim, layer from-wim, pack wim: - call a file that is no WIM what it is, with what to do', async t => {
  writeFileSync(join(cwd, 'empty.wim'), '')
  writeFileSync(join(cwd, 'nano.wim.gz'), gzipSync(readFileSync(SAMPLE)))
  execFileSync('tar', ['-cf', 'plain.tar', 'text.tar'], { cwd })
  mkdirSync(join(cwd, 'tree'))
  for (const [file, what, hint, code] of [
    ['zip.tar', 'zip.tar is a zip archive, not a WIM', /unzip zip\.tar/, 1],
    ['7zip.tar', '7zip.tar is a 7z archive, not a WIM', /7z x 7zip\.tar/, 1],
    ['iso9660.tar', 'iso9660.tar is an ISO image, not a WIM', /7z x iso9660\.tar/, 1],
    ['page.tar', 'page.tar is a web page, not a WIM', /download it again/, 1],
    ['data.tar', 'data.tar is an XML document, not a WIM', /download it again/, 1],
    ['nano.wim.gz', 'nano.wim.gz is compressed with gzip, not a WIM', /gzip -dc nano\.wim\.gz > nano\.wim$/m, 1],
    ['plain.tar', 'plain.tar is a tar, not a WIM', /stowage inspect \.\/plain\.tar/, 1],
    ['empty.wim', 'empty.wim is empty, not a WIM', /Copy the file again/, 4],
    ['tree', 'tree is a directory, not a WIM', /stowage wim capture tree FILE/, 2],
    ['text.tar', 'text.tar is not a WIM: it does not begin with', /If this should be one, it is damaged/, 4],
  ] as const) {
    for (const words of [
      ['wim', 'info', file],
      ['wim', 'verify', file],
      ['wim', 'apply', file, '1', 'out'],
      ['wim', 'join', 'joined.wim', file],
      ['layer', 'from-wim', file, '-o', 'out.tar'],
      ['pack', `wim:${file}`, '-o', 'out'],
      ['install', '--wim', file, '--to', 'oci:out'],
    ]) {
      if (words.includes('join') && /tree|text/.test(file)) continue // the system's and libwim's words
      const result = await stowage(words, { cwd })
      t.match(result.stderr, what, words.join(' '))
      t.match(result.stderr, hint, words.join(' '))
      t.equal(result.code, code, words.join(' '))
      if (code === 1) t.notMatch(result.stderr, /damaged|truncated/)
    }
  }
})
