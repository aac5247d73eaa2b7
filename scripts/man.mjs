/** Writes the manual page man/stowage.1 from the built command: `node scripts/man.mjs`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const { manualPage } = await import(join(root, 'dist', 'cli', 'usage', 'man.js'))
const epoch = process.env.SOURCE_DATE_EPOCH
const date = epoch ? new Date(Number(epoch) * 1000) : new Date()
mkdirSync(join(root, 'man'), { recursive: true })
writeFileSync(join(root, 'man', 'stowage.1'), await manualPage(date.toISOString().slice(0, 10)))
