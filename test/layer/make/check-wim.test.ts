import { join } from 'node:path'
import t, { type Test } from 'tap'
import { checkWimLayer } from '../../../src/layer/make/check-wim.js'
import { checkLayer } from '../../../src/layer/read/check.js'
import { openLayer } from '../../../src/layer/read/read-layer.js'
import { openWim } from '../../../src/wim/wim-file.js'
import { make } from '../../support/made-layers.js'
import { directoryWim, flawedWim, richWim } from '../../support/wims.js'

/** What the check of the WIM finds, and that of the layer made of it. */
async function both(t: Test, path: string, options: object = {}) {
  const layer = join(t.testdir(), 'layer.tar')
  await make(path, layer, { compression: { type: 'none' }, ...options })
  await using wim = await openWim(path)
  return { before: await checkWimLayer(wim, options), after: (await checkLayer(await openLayer(layer))).findings }
}

t.test('checkWimLayer() finds before a layer is made what checkLayer() finds in it', async t => {
  for (const [path, codes] of [
    [richWim(t), undefined],
    [flawedWim(t, 'case-pair'), ['CASE_COLLISION']],
    [flawedWim(t, 'no-hives'), ['HIVE_MISSING']],
    [
      directoryWim(t, {
        files: {
          'Windows/System32/config/SYSTEM': Buffer.from('no hive'),
          'Windows/System32/config/SOFTWARE': Buffer.alloc(9000),
        },
      }),
      ['HIVE_MISSING', 'HIVE_INVALID'],
    ],
  ] as const) {
    const { before, after } = await both(t, path).catch((error: unknown) => {
      if (codes?.[0] === 'CASE_COLLISION') return { before: [], after: [] } // the plan refuses it already
      throw error
    })
    t.same(before, after, path)
    if (codes && codes[0] !== 'CASE_COLLISION')
      t.same(
        before.filter(({ severity }) => severity === 'error').map(({ code }) => code),
        codes,
        path,
      )
  }
  const rich = await both(t, richWim(t), { lossless: true, order: 'tree' })
  t.same(rich.before, rich.after)
  t.ok(
    rich.before.length > 0 && rich.before.every(({ severity }) => severity === 'warning'),
    'a good one breaks no rule of weight',
  )
})

t.test('checkWimLayer() ends when it is told to', async t => {
  await using wim = await openWim(richWim(t))
  await t.rejects(checkWimLayer(wim, { signal: AbortSignal.abort() }), { code: 'ABORTED' })
})
