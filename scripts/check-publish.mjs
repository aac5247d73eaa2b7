/** `npm publish` runs it first: a package whose page leads nowhere is not published. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const { repository, homepage, bugs } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'))
const missing = Object.entries({ repository, homepage, bugs }).flatMap(([field, value]) => (value ? [] : [field]))
if (missing.length > 0) {
  console.error(`publish: package.json has no ${missing.join(', no ')}, so the page of the package would lead nowhere`)
  console.error('hint: Set them, and commit: npm pkg set repository.type=git repository.url=… homepage=… bugs.url=…')
  process.exit(1)
}
