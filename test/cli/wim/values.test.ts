import t from 'tap'
import { capture } from '../../../src/cli/wim/capture.js'
import { dir } from '../../../src/cli/wim/dir.js'
import { extract } from '../../../src/cli/wim/extract.js'
import { checkOperands, parseWords } from '../../../src/cli/wim/parse.js'
import { clockText } from '../../../src/cli/wim/text.js'
import {
  parseCompression,
  parsePartSize,
  parseProperty,
  parseSize,
  parseTemplate,
  parseThreads,
  parseWord,
} from '../../../src/cli/wim/values.js'

const misused = { code: 'INVALID_ARGUMENT' }

t.test('parseCompression() knows the names and synonyms of wimlib-imagex, in any case, with a level', async t => {
  for (const [text, compression, level] of [
    ['none', 'none'],
    ['XPRESS', 'xpress'],
    ['fast', 'xpress'],
    ['lzx:100', 'lzx', 100],
    ['Maximum', 'lzx'],
    ['max:1', 'lzx', 1],
    ['recovery:20', 'lzms', 20],
    ['LZMS', 'lzms'],
  ] as const)
    t.same(parseCompression(text, 'compress'), { compression, level })
  for (const text of ['', 'zip', 'lzx:', 'lzx:0', 'lzx:-1', 'lzx:5x', ':5', 'lzx:99999999', ' lzx', 'constructor']) {
    t.throws(() => parseCompression(text, 'compress'), misused, text)
  }
})

t.test('parseSize() and parsePartSize() read sizes in powers of 1024, and nothing else', async t => {
  for (const [text, size] of [
    ['32768', 32768],
    ['32K', 32768],
    ['1m', 1048576],
    ['2MiB', 2097152],
    ['1G', 1073741824],
  ] as const) {
    t.equal(parseSize(text, 'chunk-size'), size)
  }
  for (const text of ['', '0', '-1', '32KB', '1.5M', '0x8000', '4G', '32 K', 'K'])
    t.throws(() => parseSize(text, 'chunk-size'), misused, text)
  t.equal(parsePartSize('0.5'), 524288)
  t.equal(parsePartSize('4000'), 4194304000)
  t.equal(parsePartSize('.25'), 262144)
  for (const text of ['', '0', '-1', '1M', 'abc', '1e3', '.', '1e400', '9'.repeat(20)])
    t.throws(() => parsePartSize(text), misused, text)
})

t.test('parseThreads(), parseProperty(), parseTemplate() and parseWord() read what their options take', async t => {
  t.same(['4', '0', undefined, '1000'].map(parseThreads), [4, undefined, undefined, 256])
  for (const text of ['-1', 'abc', '', '1.5']) t.throws(() => parseThreads(text), misused, text)
  t.same(parseProperty('A/B[2]=x=y'), { name: 'A/B[2]', value: 'x=y' })
  t.same(parseProperty('A='), { name: 'A', value: '' })
  for (const text of ['A', '=x', '']) t.throws(() => parseProperty(text), misused, text)
  t.same(parseTemplate('C:\\x.wim:-1'), { path: 'C:\\x.wim', image: '-1' })
  t.same(parseTemplate('name of image'), { path: undefined, image: 'name of image' })
  for (const text of ['', ':1', 'x.wim:']) t.throws(() => parseTemplate(text), misused, text)
  t.equal(parseWord('lzx', ['xpress4k', 'lzx'], 'compact'), 'lzx')
  t.equal(parseWord(undefined, ['lzx'], 'compact'), undefined)
  t.throws(() => parseWord('zip', ['lzx'], 'compact'), misused)
})

t.test('parseWords() takes words as getopt does', async t => {
  const parsed = parseWords(
    ['a', '--update-of', '-1', '-', '--ref', '-q', '--compress=none', '--compress=lzx', '--noacls', ''],
    {
      ...capture,
      options: { ...capture.options, ...dir.options },
    },
  )
  t.same(parsed.operands, ['a', '-', ''])
  t.match(parsed.values, {
    'update-of': '-1',
    ref: ['-q'],
    compress: 'lzx',
    'no-acls': true,
    quiet: false,
    progress: 'auto',
  })
  t.same(parseWords(['--ref=1', '--ref', '2', '-q', '--', '--ref', '-x'], dir).operands, ['--ref', '-x'])
  t.match(parseWords(['--ref=1', '--ref', '2', '-q'], dir).values, { ref: ['1', '2'], quiet: true })
  t.match(parseWords(['--path='], dir).values, { path: '' })
  for (const words of [
    ['--path'],
    ['--detailed=yes'],
    ['--nothing'],
    ['-x'],
    ['--det'],
    ['--progress=loud'],
    ['--no-detailed'],
    ['--constructor'],
  ]) {
    t.throws(() => parseWords(words, dir), { ...misused, hint: /"stowage wim dir --help"/ }, words.join(' '))
  }
})

t.test('checkOperands() counts what a command line has', async t => {
  checkOperands(['w', '1'], extract)
  checkOperands(['w', '1', 'a', 'b', 'c'], extract)
  checkOperands(['s', 'w', 'n', 'd'], capture)
  t.throws(() => checkOperands(['w'], extract), misused)
  t.throws(() => checkOperands(['s', 'w', 'n', 'd', 'x'], capture), misused)
})

t.test('clockText() reads FILETIMEs as far as there are any', async t => {
  t.equal(clockText(0n), 'Mon Jan 01 00:00:00 1601 UTC')
  t.equal(clockText(132_000_000_000_000_001n), 'Wed Apr 17 18:40:00 2019 UTC')
  t.equal(clockText(1n << 80n), String(1n << 80n), 'a number in the XML that is no FILETIME is shown as it is')
})
