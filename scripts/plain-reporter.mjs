/** TAP as a log tells it: a plain line for each file when it ends, and what failed in it, with what was expected and found. */
import { Transform } from 'node:stream'
import { failures } from './tally.mjs'

export class PlainReporter extends Transform {
  #rest = ''
  /** Lines of the file that is being told. */
  #lines = []

  _transform(chunk, _encoding, done) {
    const lines = (this.#rest + chunk.toString()).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      this.#lines.push(line)
      if (/^(?:not )?ok /.test(line))
        this.push(`${line.replace(/^((?:not )?ok) \d+ - (.*?) # time=(.*)$/, '$1  $2  $3')}\n`)
      if (/^ {2}\.\.\.$/.test(line) || /^ok /.test(line)) this.#tell()
    }
    done()
  }

  _flush(done) {
    this.#tell()
    done()
  }

  #tell() {
    for (const { name, detail } of failures(this.#lines.join('\n'))) {
      this.push(`\n  failed: ${name}\n${detail.map(line => `    ${line}\n`).join('')}\n`)
    }
    this.#lines = []
  }
}
