/**
 * Runs a compiler, which is silent for long, and shows on a terminal that it still runs; what it printed is shown only
 * if it fails. `node scripts/patient.mjs WHAT COMMAND [ARGUMENT …]`.
 */
import { spawn } from 'node:child_process'

const [what, command, ...args] = process.argv.slice(2)
const began = Date.now()
const show = () => process.stderr.write(`\r\u001b[K${what}: ${Math.floor((Date.now() - began) / 1000)} s`)
const timer = process.stderr.isTTY ? setInterval(show, 500) : undefined

let output = ''
const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (output += text))
child.on('error', error => end(1, error.message))
child.on('close', code => end(code ?? 1, output))

function end(code, text) {
  clearInterval(timer)
  if (timer) process.stderr.write('\r\u001b[K')
  if (code !== 0) process.stderr.write(`${text}\n`)
  process.exit(code)
}
