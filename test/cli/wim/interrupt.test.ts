import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { text } from '../../../fixtures/make/bytes.js'
import { commandFile, type CommandResult, stowage } from '../../support/command.js'
import { imagex, stowageWim } from '../../support/wim-compare.js'

const cwd = t.testdir({ tree: {} })
for (let n = 0; n < 8; n += 1) writeFileSync(join(cwd, 'tree', `${n}.txt`), text(`slow ${n}`, 6_000_000))
imagex(['capture', 'tree', 'tree.wim', '--compress=none'], { cwd })
const before = readFileSync(join(cwd, 'tree.wim'))

/** Runs `stowage wim`, and sends a signal, once, when it has told of its writing. */
async function interrupted(t: Test, words: readonly string[], signal: NodeJS.Signals): Promise<CommandResult> {
  let sent = 0
  const result = await stowage(['wim', ...words, '--progress=json'], {
    cwd,
    onStderr: (child, told) => {
      if (sent !== 0 || !told.includes('"stage":"write"')) return
      sent = Date.now()
      child.kill(signal)
    },
  })
  t.ok(sent > 0 && Date.now() - sent < 5000, `${words.join(' ')} ended ${Date.now() - sent} ms after ${signal}`)
  return result
}

t.test(
  'wim capture, append and optimize - leave what there was when they are interrupted, and nothing else',
  async t => {
    const slow = ['--compress=lzms:100', '--threads=1']
    const captured = await interrupted(t, ['capture', 'tree', 'tree.wim', ...slow], 'SIGINT')
    t.equal(captured.code, 130, captured.stderr)
    t.match(captured.stderr, /^stowage: interrupted before the end$/m)
    t.ok(readFileSync(join(cwd, 'tree.wim')).equals(before))
    const optimized = await interrupted(t, ['optimize', 'tree.wim', ...slow], 'SIGTERM')
    t.equal(optimized.code, 143, optimized.stderr)
    t.ok(readFileSync(join(cwd, 'tree.wim')).equals(before))
    const created = await interrupted(t, ['capture', 'tree', 'new.wim', ...slow], 'SIGINT')
    t.equal(created.code, 130, created.stderr)
    t.same(readdirSync(cwd).sort(), ['tree', 'tree.wim'], 'no new file, whole or not')
    t.equal(imagex(['verify', 'tree.wim'], { cwd }).code, 0)
  },
)

t.test('wim dir and capture - end quietly when their reader has gone', async t => {
  await stowageWim(['--version'])
  const main = commandFile()
  for (const words of ['capture tree -', 'dir tree.wim', 'info tree.wim --json']) {
    const { stderr } = spawnSync(
      'sh',
      ['-c', `"${process.execPath}" "${main}" wim ${words} --quiet | head -c 10 >/dev/null`],
      { cwd },
    )
    t.notMatch(String(stderr), /at file:|Error:/, words)
  }
  const full = spawnSync('sh', ['-c', `"${process.execPath}" "${main}" wim dir tree.wim --json > /dev/full`], { cwd })
  t.equal(full.status, 1)
  t.match(String(full.stderr), /the result cannot be written to stdout/)
  t.same(execFileSync('ls', [cwd], { encoding: 'utf8' }), 'tree\ntree.wim\n')
})

t.test('wim update and apply - end when they are interrupted while they wait for stdin', async t => {
  await stowageWim(['--version'])
  const main = commandFile()
  for (const words of [
    ['update', 'tree.wim'],
    ['apply', '-', 'target'],
    ['capture', '-', 'new.wim', '--source-list'],
  ]) {
    let asked = 0
    let how: unknown
    // There is nothing to be seen of a program that waits. One that has hardly begun dies of the signal
    for (const wait of [2000, 6000, 20_000]) {
      const child = spawn(process.execPath, [main, 'wim', ...words], { cwd, stdio: ['pipe', 'ignore', 'ignore'] })
      const ended = once(child, 'close')
      await setTimeout(wait)
      asked = Date.now()
      child.kill('SIGINT')
      how = await ended
      if (child.signalCode === null) break
    }
    t.same(how, [130, null], words.join(' '))
    t.ok(Date.now() - asked < 5000)
  }
  t.ok(readFileSync(join(cwd, 'tree.wim')).equals(before))
})
