/**
 * Pages of the documentation as their readers try them: the console blocks of a page are run from the first to the last, and
 * what they print is compared with what the page shows. `STOWAGE_WRITE_PAGES=1` writes what they print into the page instead.
 *
 * In a block, a step begins with `$ ` or `# `, or with `NAME$ ` on a page with several machines. Its command goes on in the
 * next line after a backslash, and to the end of a here-document. A line `…` stands for lines that the page leaves out.
 * Comments directly before a block say more:
 *
 * - `<!-- not run: needs WHAT -->`: no test can run it;
 * - `<!-- run with: WHAT -->`: only the test that has this runs it, by `runPage(…, { having: WHAT })`;
 * - `<!-- exit codes: 4, 1 -->`: how each of its steps ends. Else a step that prints an error of Stowage's has to fail, and
 *   any other to end well.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BLOCK = /((?:^<!-- .* -->\n)*^```console\n[\s\S]*?^```\n)/m
const DIGEST = /\bsha256:[0-9a-f]{64}\b/
const PROMPT = /^((?:\w+)?\$|#) (.*)$/

export interface Step {
  /** `$`, `#` or `NAME$`. */
  readonly prompt: string
  /** As the page has it, in several lines if it is. */
  readonly command: string
  /** What the page shows below it. */
  readonly shown: string
}

export interface Block {
  /** The comments before it, each with its line break. */
  readonly comments: string
  /** What it needs that no test has. */
  readonly notRun?: string
  /** What the test has that runs it. */
  readonly having?: string
  readonly codes?: readonly number[]
  readonly body: string
}

/** How a step ended. */
export interface Ran {
  /** Both streams in their order, as a terminal shows them. */
  readonly output: string
  /** Undefined while it is still running. */
  readonly code: number | undefined
}

export interface PageOptions {
  /** What the test has that the blocks marked so need; without it, the blocks without such a mark are run. */
  readonly having?: string
  /** Commands that print the digest of something that they make anew: from then on, it stands for the one that is shown. */
  readonly makes?: RegExp
  /** Hides what else differs each time; both what is shown and what is printed pass through it. */
  readonly settled?: (output: string, step: Step) => string
}

/** The text of a page, by its path from the root of the repository. */
export function readPage(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

/** A page as texts and console blocks, in their order; together they are the page. */
export function parsePage(page: string): readonly (string | Block)[] {
  return page.split(BLOCK).map((part, n) => (n % 2 === 0 ? part : parseBlock(part)))
}

/** Every fenced block of a page, with the word behind its fence. */
export function fencedBlocks(page: string): readonly { readonly language: string; readonly body: string }[] {
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', body = '']) => ({ language, body }))
}

function parseBlock(text: string): Block {
  const [, comments = '', body = ''] = /^([\s\S]*?)```console\n([\s\S]*)```\n$/.exec(text) ?? []
  const said = (pattern: RegExp): string | undefined => pattern.exec(comments)?.[1]
  const notRun = said(/^<!-- not run: needs (.*) -->$/m)
  const having = said(/^<!-- run with: (.*) -->$/m)
  const codes = said(/^<!-- exit codes?: ([\d, ]+) -->$/m)
  return {
    comments,
    body,
    ...(notRun === undefined ? {} : { notRun }),
    ...(having === undefined ? {} : { having }),
    ...(codes === undefined ? {} : { codes: codes.split(',').map(Number) }),
  }
}

/** The steps of a block. Throws if it begins with anything else. */
export function parseSteps({ body }: Block): readonly Step[] {
  const steps: { prompt: string; command: string; shown: string }[] = []
  for (const line of body.split(/(?<=\n)/)) {
    const step = steps.at(-1)
    const [, prompt, command] = PROMPT.exec(line.trimEnd()) ?? []
    if (step && goesOn(step.command)) step.command += `\n${line.trimEnd()}`
    else if (prompt !== undefined && command !== undefined) steps.push({ prompt, command, shown: '' })
    else if (step) step.shown += line
    else throw new Error(`a console block begins with no command: ${line}`)
  }
  return steps
}

/** Whether the next line belongs to a command: it ends in a backslash, or in the middle of a here-document. */
function goesOn(command: string): boolean {
  const [, word] = /<<'?(\w+)'?/.exec(command) ?? []
  return word ? !command.endsWith(`\n${word}`) : command.endsWith('\\')
}

/**
 * Runs the console blocks of the page at `path` by `run`, and asserts that each step prints what the page shows and ends as it
 * says. Returns the number of steps.
 */
export async function runPage(
  t: Test,
  path: string,
  run: (step: Step) => Promise<Ran>,
  { having, makes, settled = text => text }: PageOptions = {},
): Promise<number> {
  const hide = SAME_BYTES ? (text: string) => text : hideBytes
  const writes = process.env['STOWAGE_WRITE_PAGES'] !== undefined
  const written: string[] = []
  const made: (readonly [digest: string, shown: string])[] = []
  let count = 0
  for (const part of parsePage(readPage(path))) {
    if (typeof part === 'string') {
      written.push(part)
      continue
    }
    const steps = part.notRun === undefined && part.having === having ? parseSteps(part) : []
    const printed: string[] = []
    for (const [n, step] of steps.entries()) {
      const { output, code } = await run(step)
      const [digest, known] = [output, step.shown].map(text => DIGEST.exec(text)?.[0])
      if (makes?.test(step.command) && digest && known)
        made.push([digest, known], [shortened(digest), shortened(known)])
      const whole = output === '' || output.endsWith('\n') ? output : `${output}\n`
      const text = made.reduce((all, [one, other]) => all.replaceAll(one, other), whole)
      const [ours, shown] = [hide(settled(text, step)), hide(settled(step.shown, step))]
      const fits = matches(shown, ours)
      if (!writes) t.equal(fits ? shown : ours, shown, `${path}: ${step.command}`)
      if (code !== undefined) assertCode(t, step.command, code, text, part.codes?.[n])
      printed.push(`${step.prompt} ${step.command}\n${fits && shown.includes('…\n') ? step.shown : text}`)
      count++
    }
    if (part.codes && steps.length > 0) t.equal(part.codes.length, steps.length, 'an exit code for each step')
    written.push(`${part.comments}\`\`\`console\n${steps.length > 0 ? printed.join('') : part.body}\`\`\`\n`)
  }
  if (writes) writeFileSync(join(ROOT, path), written.join(''))
  return count
}

/** As docker shows an ID. */
function shortened(digest: string): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + 12)
}

function assertCode(t: Test, command: string, code: number, output: string, expected: number | undefined): void {
  const message = `exit code of: ${command}`
  if (expected !== undefined) t.equal(code, expected, message, { output })
  else if (/^stowage: /m.test(output)) t.not(code, 0, message, { output })
  else t.equal(code, 0, message, { output })
}

/** Whether `output` is what is shown, where each line `…` stands for one line or more. */
function matches(shown: string, output: string): boolean {
  const pattern = shown
    .split(/^…\n/m)
    .map(text => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('(?:.*\\n)+?')
  return new RegExp(`^${pattern}$`).test(output)
}

/** Whether what is compressed here has the bytes that the pages show: they depend on the releases of zlib, libdeflate and busybox. */
export const SAME_BYTES =
  process.arch === 'x64' &&
  process.versions.node.startsWith('20.') &&
  /^VERSION_ID="?12"?$/m.test(existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '')

/** Hides digests, IDs, and sizes, and with them the width of columns. */
export function hideBytes(output: string): string {
  return output
    .replace(/\b(sha256:)?[0-9a-f]{64}\b/g, 'DIGEST')
    .replace(/\b[0-9a-f]{12}\b/g, 'ID')
    .replace(/\b\d+((\.\d+)? ?[kMG]?B| bytes)\b/g, 'SIZE')
    .replace(/ +/g, ' ')
}

/** Hides how long ago something was, and with it the width of its column. */
export function hideAges(output: string): string {
  return output
    .replace(/(?:Less than a second|About an? \w+|\d+ \w+) ago +/g, 'AGO  ')
    .replace(/\bCREATED +/g, 'CREATED  ')
}
