/** `stowage log`: checks logs of what was done, and merges those of several sites. */
import { type LogReport, verifyLog } from '../custody/check.js'
import { mergeLogs } from '../custody/merge.js'
import { StowageError } from '../errors.js'
import { type Digest, isDigest } from '../oci/digest.js'
import { command, oneOrMore, required, value, values } from './command.js'
import { EXIT_INTEGRITY } from './exit-code.js'
import { count, printable, table } from './render.js'

export const logVerify = command({
  operands: {
    log: required('The file of a log', 'path'),
  },
  options: {
    key: values('Every entry must be signed by this public key, or another that is given', { takes: 'path' }),
    head: value('The log must have the line with this hash: what was told before', { valueName: 'DIGEST' }),
    receipt: value('The log must have what this receipt of "load --receipt" says of it', { takes: 'path' }),
  },
  examples: [
    ['log verify /var/lib/stowage/log.jsonl --key site.pub', 'Whether an entry was changed, taken out or put in'],
    ['log verify site.jsonl --receipt receipt.json', 'And whether its end was cut off since then'],
  ],
  run: async ({ log, key, head, receipt }, { report }) => {
    const { readPublicKey } = await import('../signature/public-key.js')
    const keys = await Promise.all(key.map(async path => await readPublicKey(path)))
    const heads = [
      ...(head === undefined ? [] : [parseHead(head)]),
      ...(receipt === undefined ? [] : await (await import('../verbs/receipt.js')).logHeadsIn(receipt)),
    ]
    const result = await verifyLog(log, { keys, heads })
    report({ schema: 'stowage.log-verify/v1', ...result }, text(result))
    if (!result.ok) process.exitCode = EXIT_INTEGRITY
  },
})

export const logMerge = command({
  operands: {
    logs: oneOrMore('Logs, also merged ones', 'path'),
  },
  options: {
    output: value('The merged log', { alias: 'o', required: true, takes: 'path' }),
  },
  examples: [['log merge plant.jsonl ship.jsonl -o all.jsonl', 'All entries by time; each log can still be checked']],
  run: async ({ logs, output }, { report }) => {
    const result = await mergeLogs(logs, output)
    report({ schema: 'stowage.log-merge/v1', ...result }, text(result))
  },
})

function parseHead(head: string): Digest {
  if (isDigest(head)) return head
  throw new StowageError('INVALID_ARGUMENT', `--head: expected sha256:… but found ${head}`, {
    hint: '"stowage log verify" prints it.',
  })
}

function text({ path, ok, entries, logs, findings }: LogReport): string {
  const rows = logs.map(({ log, hosts, seq, first, last, head }) => [
    log,
    printable(hosts.join(', ')),
    String(seq),
    first.slice(0, 19),
    last.slice(0, 19),
    head,
  ])
  const listed = rows.length > 0 ? table(['LOG', 'HOST', 'ENTRIES', 'FIRST', 'LAST', 'HEAD'], rows) : ''
  const lines = findings.map(({ line, message }) => `${path}:${line}: ${message}\n`).join('')
  const total = count(entries, 'entry', 'entries')
  const end = ok ? `OK (${total})` : `${count(findings.length, 'defect')} found (${total})`
  return `${listed}${printable(`${lines}${path}: ${end}\n`)}`
}
