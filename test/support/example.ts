/** Examples of TypeScript on a page: checked against the types of the library, and run as a reader's own module. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import typescript from 'typescript'
import { commandFile } from './command.js'
import type { Desk } from './desk.js'
import type { Ran } from './page.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What the compiler says of `examples`, each a module by its name, with the options that Stowage itself is compiled with. */
export function typeErrors(examples: Readonly<Record<string, string>>): readonly string[] {
  const file = join(ROOT, 'tsconfig.json')
  const config = typescript.parseJsonConfigFileContent(
    JSON.parse(readFileSync(file, 'utf8')),
    typescript.sys,
    ROOT,
  ).options
  const options = { ...config, configFilePath: file, paths: { stowage: [join(ROOT, 'src/index.ts')] } }
  const texts = new Map(Object.entries(examples).map(([name, text]) => [join(ROOT, `${name}.mts`), text]))
  const host = typescript.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = path => texts.has(path) || fileExists(path)
  host.readFile = path => texts.get(path) ?? readFile(path)
  host.getSourceFile = (path, language, ...more) => {
    const text = texts.get(path)
    return text === undefined
      ? getSourceFile(path, language, ...more)
      : typescript.createSourceFile(path, text, language, true)
  }
  const program = typescript.createProgram([...texts.keys()], options, host)
  return [...texts.keys()].flatMap(path => {
    const source = program.getSourceFile(path)
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ messageText, start = 0, file: at }) => {
        const line = (at?.getLineAndCharacterOfPosition(start).line ?? 0) + 1
        return `${path.slice(ROOT.length)}:${line}: ${typescript.flattenDiagnosticMessageText(messageText, '\n')}`
      },
    )
  })
}

/** Runs `text` where the reader works, who has installed the package. */
export async function runExample(desk: Desk, text: string): Promise<Ran> {
  const { outputText } = typescript.transpileModule(text, {
    compilerOptions: { target: typescript.ScriptTarget.ES2023, module: typescript.ModuleKind.ESNext },
  })
  const installed = join(desk.work, 'node_modules', 'stowage')
  if (!existsSync(installed)) {
    mkdirSync(dirname(installed), { recursive: true })
    symlinkSync(join(dirname(commandFile()), '../..'), installed)
  }
  writeFileSync(join(desk.work, 'example.mjs'), outputText)
  return await desk.run({ command: 'node example.mjs' })
}
