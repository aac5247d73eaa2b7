import { execFileSync } from 'node:child_process'
import t from 'tap'
import { RunningHash } from '../../src/blob/running-hash.js'
import { noise } from '../support/images.js'

for (const addon of [true, false]) {
  t.test(
    `RunningHash gives what sha256sum says of the pieces together, ${addon ? 'by the addon' : 'without'}`,
    async t => {
      const bytes = noise(5_000_000, 'pieces')
      const hash = new RunningHash({ addon })
      for (let at = 0, size = 0; at < bytes.length; at += size, size = (size * 3 + 1) % 700_001)
        await hash.add(bytes.subarray(at, at + size))
      const expected = execFileSync('sha256sum', { input: bytes, encoding: 'utf8' }).slice(0, 64)
      t.equal(await hash.end(), expected)
    },
  )

  t.test(`RunningHash gives the hash of nothing, ${addon ? 'by the addon' : 'without'}`, async t => {
    const expected = execFileSync('sha256sum', { input: '', encoding: 'utf8' }).slice(0, 64)
    t.equal(await new RunningHash({ addon }).end(), expected)
  })
}
