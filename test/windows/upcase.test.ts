import t from 'tap'
import { upcaseOfMkntfs, upcaseRuns } from '../../fixtures/make/upcase.js'
import { UPCASE_RUNS } from '../../src/windows/upcase-table.js'
import { upcase } from '../../src/windows/upcase.js'

t.test('upcase() folds every code unit as $UpCase of a volume that mkntfs makes', t => {
  const table = upcaseOfMkntfs(t.testdir())
  t.equal(table.length, 0x10000)
  const differ = [...table.keys()].filter(unit => upcase(String.fromCharCode(unit)).charCodeAt(0) !== table[unit])
  t.same(differ, [])
  t.same(upcaseRuns(table), UPCASE_RUNS, 'and the table is the one that its script generates')
  t.ok(table.some((upper, unit) => upper !== unit))
  t.end()
})

t.test('upcase() folds what Unicode of today folds otherwise', t => {
  const pairs: [name: string, upper: string][] = [
    ['\u1f80', '\u1f88'], // Greek letters whose upper case is two letters to Unicode
    ['\u1fb3', '\u1fbc'],
    ['ü', 'Ü'],
    ['ÿ', 'Ÿ'],
  ]
  for (const [name, upper] of pairs) t.equal(upcase(`a${name}/`), `A${upper}/`)
  // Georgian, letters newer than Windows 7, and the upper case that is no pair
  for (const unit of ['\u10d0', '\ua7b5', '\u0131', '\u017f', 'ß', '\u00b5', '\u03c2', '\u01c5'])
    t.equal(upcase(unit), unit, `U+${unit.charCodeAt(0).toString(16)}`)
  t.equal(upcase('\u{10428}\ud800'), '\u{10428}\ud800', 'and surrogates stay')
  t.end()
})
