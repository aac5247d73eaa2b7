/** The times of WIM files as the times of JavaScript, and back. */
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { dateToFiletime, filetimeToDate, filetimeToISOString } from '../../src/windows/filetime.js'

t.test('filetimeToDate() and filetimeToISOString() say what GNU date says of the same seconds', async t => {
  for (const filetime of [0n, 1n, 116_444_736_000_000_000n, 132_000_000_000_000_001n, 0x7fff_ffff_ffff_ffffn]) {
    const seconds = filetime / 10_000_000n - 11_644_473_600n
    const told = execFileSync('date', ['--utc', `--date=@${seconds}`, '+%Y-%m-%dT%H:%M:%S'], {
      encoding: 'utf8',
    }).trim()
    const fraction = String(filetime % 10_000_000n).padStart(7, '0')
    const extended = /^\d{5}-/.test(told) ? `+0${told}` : told // ISO 8601 asks for a sign and six digits after 9999
    t.equal(filetimeToISOString(filetime), `${extended}.${fraction}Z`)
    t.equal(filetimeToDate(filetime).toISOString(), `${extended}.${fraction.slice(0, 3)}Z`)
  }
  t.equal(filetimeToISOString(0xffff_ffff_ffff_ffffn), '+060056-05-28T05:36:10.9551615Z', 'all that 64 bits can hold')
})

t.test('dateToFiletime() is the other way, to the millisecond', async t => {
  t.equal(dateToFiletime(new Date('1601-01-01T00:00:00Z')), 0n)
  t.equal(dateToFiletime(new Date(0)), 116_444_736_000_000_000n)
  fc.assert(
    fc.property(
      fc.bigInt(0n, 0x7fff_ffff_ffff_ffffn),
      filetime => dateToFiletime(filetimeToDate(filetime)) === filetime - (filetime % 10_000n),
    ),
  )
})

t.test('dateToFiletime() refuses what no FILETIME can hold', async t => {
  const refused = { code: 'INVALID_ARGUMENT' }
  t.throws(() => dateToFiletime(new Date('yesterday')), { ...refused, message: 'an invalid Date has no FILETIME' })
  t.throws(() => dateToFiletime(new Date(Date.UTC(1601, 0, 1) - 1)), {
    ...refused,
    message: 'a FILETIME cannot hold 1600-12-31T23:59:59.999Z',
  })
  t.throws(() => dateToFiletime(new Date(8.64e15)), refused)
})
