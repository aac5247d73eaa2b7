/** The `stowage` command as a child process, as a user runs it: plain JavaScript, made from src/ once for each test file. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Settings of whoever runs the tests that would change what the command does. */
const FOREIGN = ['DOCKER_HOST', 'DOCKER_CONTEXT', 'SOURCE_DATE_EPOCH', 'STOWAGE_STORE', 'STOWAGE_DEBUG', 'NODE_OPTIONS']

export interface CommandResult {
  readonly stdout: string
  readonly stderr: string
  /** Exit code, or -1 when a signal ended it. */
  readonly code: number
}

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Called with the child once it runs. */
  readonly onSpawn?: (child: ChildProcess) => void
  /** Called with the child, and with all it has written to stderr so far, whenever that grows. */
  readonly onStderr?: (child: ChildProcess, text: string) => void
  /** Closes the reading end of its stdout at once. */
  readonly deaf?: boolean
  /** A file that is its stdout. */
  readonly output?: string
  /** A file that is its stdin; none when left out. */
  readonly input?: string
}

/** Runs `stowage` with `words`. The terminal, the engine and the store of whoever runs the tests are not its own. */
export async function stowage(
  words: readonly string[],
  { cwd, env, onSpawn, onStderr, deaf = false, output, input }: CommandOptions = {},
): Promise<CommandResult> {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !FOREIGN.includes(name)))
  // tap gives every child a loader, which takes it as long to start as all else; env becomes the command by exec
  const plain = env?.['NODE_OPTIONS'] === undefined ? ['-u', 'NODE_OPTIONS'] : []
  const child = spawn('env', [...plain, process.execPath, commandFile(), ...words], {
    cwd,
    env: { ...inherited, ...env },
    stdio: [
      input === undefined ? 'ignore' : openSync(input, 'r'),
      output === undefined ? 'pipe' : openSync(output, 'w'),
      'pipe',
    ],
  })
  onSpawn?.(child)
  let [stdout, stderr] = ['', '']
  if (deaf) child.stdout?.destroy()
  else child.stdout?.on('data', (piece: Buffer) => (stdout += piece))
  child.stderr?.on('data', (piece: Buffer) => {
    stderr += piece
    onStderr?.(child, stderr)
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', status => resolve(status ?? -1))
  })
  return { stdout, stderr, code }
}

let made: string | undefined

/**
 * What the package installs as `stowage`. A loader would cost each child seconds, and dist/ may be older than src/. It is made
 * once for all test files of the same sources.
 */
export function commandFile(): string {
  if (made) return made
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .sort()
  const texts = sources.map((name): [string, string] => [name, readFileSync(join(ROOT, 'src', name), 'utf8')])
  const hash = createHash('sha256').update(readFileSync(join(ROOT, 'package.json')))
  for (const [name, text] of texts) hash.update(`${name}\0${text}\0`)
  const root = join(ROOT, '.tap', 'command', hash.digest('hex').slice(0, 16))
  if (!existsSync(root)) make(root, texts)
  return (made = join(root, 'dist', 'cli', 'main.js'))
}

/** Beside its place, and then all of it at once: other test files run meanwhile, and may have been faster. */
function make(root: string, texts: readonly (readonly [name: string, text: string])[]): void {
  const typescript = createRequire(import.meta.url)('typescript') as typeof import('typescript') // a second that those who find it made are spared
  const partial = `${root}.${process.pid}`
  for (const [name, text] of texts) {
    const { target, module } = { target: typescript.ScriptTarget.ES2023, module: typescript.ModuleKind.ESNext }
    const { outputText } = typescript.transpileModule(text, {
      compilerOptions: { target, module, verbatimModuleSyntax: true },
    })
    const output = join(partial, 'dist', name.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(output), { recursive: true })
    writeFileSync(output, outputText)
  }
  copyFileSync(join(ROOT, 'package.json'), join(partial, 'package.json'))
  for (const name of ['build', 'completions']) symlinkSync(join(ROOT, name), join(partial, name))
  try {
    renameSync(partial, root)
  } catch (error) {
    rmSync(partial, { recursive: true, force: true })
    if (!existsSync(root)) throw error
  }
}
