/** Recovery data against par2cmdline with the same blocks: making it, verifying by it, repairing one block. */
import { execFileSync } from 'node:child_process'
import { createCipheriv } from 'node:crypto'
import { appendFileSync, closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { measure } from './measure.mjs'
import { megabytes, peak, ratioOf } from './report.mjs'

const CHILD = join(import.meta.dirname, 'recovery-child.mjs')
const NAME = 'site.tar'
const INDEX = `${NAME}.par2`
const BLOCKS = 2000
const PERCENT = 5

export async function benchRecovery({ size, rounds, report }) {
  const work = mkdtempSync(join(tmpdir(), 'stowage-bench-recovery-'))
  try {
    const blockSize = Math.ceil(size / BLOCKS / 4) * 4
    writeNoise(join(work, NAME), size)
    const about = `${megabytes(size)}, ${BLOCKS} blocks, ${PERCENT} %`
    const ours = what => () => measure(process.execPath, [CHILD, what, work, INDEX, String(blockSize), String(PERCENT)])
    const par2 = (...words) => measure('sh', ['-c', 'cd "$1" && shift && par2 "$@" >/dev/null', 'sh', work, ...words])
    const set = () => readdirSync(work).filter(name => name !== NAME)
    const fresh = run => async () => {
      for (const name of set()) rmSync(join(work, name))
      return await run()
    }
    const broken = run => async () => {
      damage(join(work, NAME), blockSize * 7 + 100)
      return await run()
    }

    const made = await report.alternate(
      `recovery data, ${about}`,
      fresh(ours('create')),
      fresh(() => par2('create', '-q', '-q', `-s${blockSize}`, `-r${PERCENT}`, INDEX, NAME)),
      rounds,
    )
    tell('make recovery data', made)
    await fresh(ours('create'))()
    const verified = await report.alternate(
      `verify by it, ${about}`,
      ours('verify'),
      () => par2('verify', '-q', '-q', INDEX),
      rounds,
    )
    tell('verify by recovery data', verified)
    const repaired = await report.alternate(
      `repair a block, ${about}`,
      broken(ours('repair')),
      broken(async () => {
        const run = await par2('repair', '-q', '-q', INDEX)
        rmSync(join(work, `${NAME}.1`)) // what it keeps of the damaged file
        return run
      }),
      rounds,
    )
    tell('repair one block', repaired)

    function tell(what, pairs) {
      report.row(`${what}, ${about}`, 'par2', pairs)
      report.promise(ratioOf(pairs) >= 5, `${what} at least 5 times as fast as par2: ${ratioOf(pairs).toFixed(1)}`)
      report.promise(peak(pairs) <= 400e6, `${what} within 400 MB: ${megabytes(peak(pairs))}`)
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function writeNoise(path, size) {
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 1), Buffer.alloc(16))
  const zeros = Buffer.alloc(1 << 24)
  appendFileSync(path, '')
  while (statSync(path).size < size) {
    appendFileSync(path, cipher.update(zeros.subarray(0, Math.min(zeros.length, size - statSync(path).size))))
  }
  execFileSync('sync', [path])
}

function damage(path, offset) {
  const file = openSync(path, 'r+')
  writeSync(file, 'damaged', offset)
  closeSync(file)
}
