import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { decodeText, encodeText } from '../../src/wim/text-file.js'
import { parseUpdateScript } from '../../src/wim/update-script.js'

t.test('parseUpdateScript() reads the three commands, their options, comments and quotes', async t => {
  const script = `
    # a comment
    ; another
    add 'My Documents' "/a b"
    ADD --unix-data src --no-acls /dst --verbose
    add --strict-acls --dereference --no-replace "a"b
    delete --force --recursive /gone
    delete "--force"
    Rename old\tnew\r
  `
  t.same(parseUpdateScript(script), [
    { type: 'add', source: 'My Documents', target: '/a b' },
    { type: 'add', source: 'src', target: '/dst', unixData: true, acls: 'none', verbose: true },
    { type: 'add', source: 'a', target: 'b', acls: 'strict', dereference: true, noReplace: true },
    { type: 'delete', path: '/gone', force: true, recursive: true },
    { type: 'delete', path: '--force' },
    { type: 'rename', source: 'old', target: 'new' },
  ])
  t.same(parseUpdateScript('\n  \n# nothing'), [])
})

t.test('parseUpdateScript() gives every command the defaults of its kind', async t => {
  const defaults = { add: { unixData: true, config: 'c.ini' }, delete: { force: true } }
  t.same(parseUpdateScript('add a b\nadd --no-acls c d\ndelete x\nrename y z', defaults), [
    { type: 'add', source: 'a', target: 'b', unixData: true, config: 'c.ini' },
    { type: 'add', source: 'c', target: 'd', unixData: true, config: 'c.ini', acls: 'none' },
    { type: 'delete', path: 'x', force: true },
    { type: 'rename', source: 'y', target: 'z' },
  ])
})

const WRONG: readonly (readonly [script: string, message: RegExp])[] = [
  ['\n\ndel x', /^s\.txt, line 3: "del" is not an update command$/],
  ['add --force a b', /line 1: --force is not an option of add/],
  ['rename --force a b', /--force is not an option of rename/],
  ['delete --__proto__ a', /--__proto__ is not an option of delete/],
  ['constructor a', /"constructor" is not an update command/],
  ['add a', /expected add SOURCE DESTINATION but found "a"/],
  ['add a b c', /but found "a" "b" "c"/],
  ['delete', /expected delete PATH but found nothing/],
  ['delete a # why', /expected delete PATH but found "a" "#" "why"/],
  ["add 'a b", /line 1: there is no closing quote for 'a b/],
]

t.test('parseUpdateScript() names the line that is wrong, and wimlib-imagex refuses the same scripts', async t => {
  const cwd = t.testdir({ tree: { x: 'x' } })
  execFileSync('wimlib-imagex', ['capture', 'tree', 'x.wim', '--quiet'], { cwd })
  for (const [script, message] of WRONG) {
    t.throws(() => parseUpdateScript(script, { file: 's.txt' }), { code: 'INVALID_ARGUMENT', message }, script)
    t.equal(spawnSync('wimlib-imagex', ['update', 'x.wim'], { cwd, input: script }).status, 255, `wimlib: ${script}`)
  }
})

t.test('parseUpdateScript() takes words as wimlib-imagex does', async t => {
  const cwd = t.testdir({ tree: { one: '1' } })
  for (const name of ["it's", 'b c']) {
    mkdirSync(join(cwd, name))
    writeFileSync(join(cwd, name, 'in'), name)
  }
  // Each of these adds one file: what we read must be the place at which wimlib-imagex puts it
  for (const line of [
    `add "it's" /x`,
    "add 'b c' 'x y'",
    "add it's x'y",
    'add "b c"z',
    'add\t"b c"\t"#"',
    'add --verbose "b c" ;',
  ]) {
    execFileSync('wimlib-imagex', ['capture', 'tree', 'x.wim', '--quiet'], { cwd })
    const run = spawnSync('wimlib-imagex', ['update', 'x.wim'], { cwd, input: line })
    t.equal(run.status, 0, `${run.stderr}`)
    const [command] = parseUpdateScript(line)
    const paths = execFileSync('wimlib-imagex', ['dir', 'x.wim'], { cwd, encoding: 'utf8' }).split('\n')
    t.ok(command?.type === 'add' && paths.includes(`/${command.target.replace(/^\//, '')}/in`), line)
  }
})

t.test(
  'decodeText() reads UTF-8 and UTF-16LE with or without a byte order mark, and keeps lone surrogates',
  async t => {
    const text = 'add \ud800x \udfff 🐋 ü'
    const [high, low] = [Buffer.from([0xed, 0xa0, 0x80]), Buffer.from([0xed, 0xbf, 0xbf])]
    const wtf8 = Buffer.concat([Buffer.from('add '), high, Buffer.from('x '), low, Buffer.from(' 🐋 ü')])
    t.equal(decodeText(wtf8), text)
    t.same(Buffer.from(encodeText(text)), wtf8)
    t.equal(decodeText(Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), wtf8])), text)
    t.equal(decodeText(Buffer.from(`\ufeff${text}`, 'utf16le')), text)
    t.equal(decodeText(new Uint8Array()), '')
    t.equal(decodeText(Buffer.from('퀀 힣', 'utf8')), '퀀 힣', 'Hangul, which begins with the same byte, stays')
    t.equal(encodeText('plain 🐋'), 'plain 🐋')
  },
)
