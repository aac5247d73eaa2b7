import t from 'tap'
import { numberIn, parseJsonText, textIn, textsIn } from '../../src/oci/json.js'

t.test(
  'textIn(), numberIn() and textsIn() give undefined, or leave out, what is not there or of another type',
  async t => {
    const body = parseJsonText('{"token": "x", "empty": "", "life": 60, "names": ["a", 1, null, "b"]}')
    t.equal(textIn(body, 'token'), 'x')
    for (const key of ['empty', 'life', 'names', 'other']) t.equal(textIn(body, key), undefined, key)
    t.equal(numberIn(body, 'life'), 60)
    t.equal(numberIn(body, 'token'), undefined)
    for (const value of [null, undefined, 'text', [], 1]) t.equal(textIn(value, 'token'), undefined)
    t.same(textsIn((body as { readonly names: unknown }).names), ['a', 'b']) // as it was just written
    t.same(textsIn('a'), [])
    t.equal(parseJsonText('{'), undefined)
  },
)
