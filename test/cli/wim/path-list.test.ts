import t from 'tap'
import { parsePathList, pathMatcher } from '../../../src/cli/wim/path-list.js'

t.test('parsePathList() takes a path a line, without comments, quotes and the space around', async t => {
  t.same(parsePathList('; no\n  # no\n\n /Program Files/A* \r\n"/a b"\n\'c\'\n"half\n'), [
    '/Program Files/A*',
    '/a b',
    'c',
    '"half',
  ])
})

t.test('pathMatcher() matches within components, whatever else stands in a pattern', async t => {
  const matches = (pattern: string, path: string, ignoreCase = false) => pathMatcher(pattern, ignoreCase)(path)
  t.ok(matches('\\Windows//*.ini/', '/Windows/win.ini'))
  t.ok(matches('a?c', '/a🐋c'), 'a character may be two units')
  t.notOk(matches('/Windows/*', '/Windows/System32/x'))
  t.notOk(matches('/a.b', '/aXb'))
  t.ok(matches('/a[1](2)+$^|{}', '/a[1](2)+$^|{}'))
  t.ok(matches('/', '/'))
  t.notOk(matches('/readme', '/README'))
  t.ok(matches('/readme', '/README', true))
  t.ok(matches('*', '/line\nfeed'))
})
