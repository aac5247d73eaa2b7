import t from 'tap'
import { StowageError } from '../../src/errors.js'

t.test('withHint() keeps code and message, and the whole chain of causes', async t => {
  const root = new Error('root')
  const error = new StowageError('DIGEST_MISMATCH', 'not the same', { cause: root })
  const hinted = error.withHint('Copy it again.')
  t.match(hinted, { code: 'DIGEST_MISMATCH', message: 'not the same', hint: 'Copy it again.' })
  t.equal(hinted.cause, error)
  t.equal(error.cause, root)
  t.equal(error.hint, undefined, 'the error itself stays as it was')
  t.match(hinted.withHint(hinted.hint, 'a.tar: not the same'), {
    message: 'a.tar: not the same',
    hint: 'Copy it again.',
  })
})
