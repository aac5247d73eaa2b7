/** Writes the rooms of rooms.ts into ARCHITECTURE.md: `node test/contract/write-rooms.mjs`. */
import { readFileSync, writeFileSync } from 'node:fs'
import ts from 'typescript'

const source = readFileSync(new URL('rooms.ts', import.meta.url), 'utf8')
const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }
const { outputText } = ts.transpileModule(source, { compilerOptions: options })
const { roomsText } = await import(`data:text/javascript,${encodeURIComponent(outputText)}`)

const path = new URL('../../ARCHITECTURE.md', import.meta.url)
const [before, , after] = readFileSync(path, 'utf8').split(/(?<=<!-- rooms: begin -->\n)([^]*?)(?=<!-- rooms: end -->)/)
writeFileSync(path, before + roomsText() + after)
