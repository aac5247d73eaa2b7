/** docs/serve.md: what its commands print is what they print here, on free ports of loopback. test/engines/pages.test.ts pulls. */
import t from 'tap'
import { runPage } from '../support/page.js'
import { openServingDesk } from '../support/serving-desk.js'

t.test('docs/serve.md does what it says', async t => {
  const desk = await openServingDesk(t)
  await runPage(t, 'docs/serve.md', async step => {
    if (step.command.startsWith('htpasswd ')) return await desk.answer(step, 'assword: ', 'open sesame')
    return await (step.command.startsWith('stowage serve ') ? desk.serve(step) : desk.run(step))
  })
})
