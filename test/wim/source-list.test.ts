import { execFileSync, spawnSync } from 'node:child_process'
import t from 'tap'
import { parseSourceList } from '../../src/wim/source-list.js'

t.test('parseSourceList() reads sources and targets, comments and quotes', async t => {
  const list = `
    # make the image from winpe
    winpe     /
    ; and put this over it
    'my overlay'   //overlay//deep/
    /data/stuff
    ./here
    "."  ""
  `
  t.same(parseSourceList(list), [
    { source: 'winpe', target: '/' },
    { source: 'my overlay', target: '/overlay/deep' },
    { source: '/data/stuff', target: '/data/stuff' },
    { source: './here', target: '/here' },
    { source: '.', target: '/' },
  ])
  t.same(parseSourceList('\n'), [])
})

t.test('parseSourceList() names the line that is wrong', async t => {
  const wrong = (list: string, message: RegExp) =>
    t.throws(() => parseSourceList(list, 'l.txt'), { code: 'INVALID_ARGUMENT', message })
  wrong("\na '/b", /^l\.txt, line 2: there is no closing quote for '\/b$/)
  wrong('My Documents /docs', /line 1: expected SOURCE and TARGET but found 3 words/)
  wrong('../up', /line 1: "\.\.\/up" is not a path in an image/)
  wrong('a /b/../c', /is not a path in an image/)
  wrong('"" /b', /the source is empty/)
})

t.test('parseSourceList() puts files where wimlib-imagex puts them', async t => {
  const cwd = t.testdir({ a: { one: '1' }, 'b c': { two: '2' }, file: '3' })
  const list = '# list\na /\n\'b c\' //x/y/\n  ; no\n"b c"\nfile /x/three\n'
  const run = spawnSync('wimlib-imagex', ['capture', '-', 'x.wim', '--source-list'], { cwd, input: list })
  t.equal(run.status, 0, `${run.stderr}`)
  const paths = new Set(execFileSync('wimlib-imagex', ['dir', 'x.wim'], { cwd, encoding: 'utf8' }).split('\n'))
  t.same(
    parseSourceList(list).map(({ target }) => paths.has(target ?? '')),
    [true, true, true, true],
  )
})
