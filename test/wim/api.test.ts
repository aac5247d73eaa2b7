/** wimlib.h, name by name: what it declares has a row in docs/wim-library.md, and what stands there is true. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import * as stowage from '../../src/index.js'
import { isWimlibErrorCode } from '../../src/wim/error.js'
import * as flags from '../../src/wim/flags.js'

const HEADER = readFileSync(
  join(execFileSync('pkg-config', ['--variable=includedir', 'wimlib'], { encoding: 'utf8' }).trim(), 'wimlib.h'),
  'utf8',
)
const DOCUMENT = readFileSync(join(import.meta.dirname, '../../docs/wim-library.md'), 'utf8')

/** First cell → the other two. */
const ROWS = new Map(
  [...DOCUMENT.matchAll(/^\| `(\w+)` \| (.*?) ?\| (.*?) ?\|$/gm)].map(([, name = '', ours = '', note = '']) => [
    name,
    { ours, note },
  ]),
)

t.test('every function of wimlib.h is ours, or has a reason', t => {
  const code = HEADER.replace(/\/\*[^]*?\*\//g, '')
  const functions = new Set(
    [...code.matchAll(/^(?:WIMLIBAPI |extern )?[\w *]*\n?\*?(wimlib_\w+)\(/gm)].map(([, name = '']) => name),
  )
  t.ok(functions.size >= 70, `${functions.size} functions`)
  const known = stowage as unknown as Record<string, unknown>
  const prototype = stowage.WimFile.prototype as unknown as object
  for (const name of functions) {
    const row = ROWS.get(name)
    t.ok(row && (row.ours || row.note), name)
    const method = /^`WimFile\.(\w+)(?:\(\))?`$/.exec(row?.ours ?? '')?.[1]
    if (method) t.ok(method in prototype, `${name}: WimFile.${method}`)
    const call = /^`(\w+)\(\)`$/.exec(row?.ours ?? '')?.[1]
    if (call) t.type(known[call], 'function', `${name}: ${call}`)
  }
  t.end()
})

t.test('every flag of wimlib.h has its option, with the same number', t => {
  const calls: Readonly<Record<string, (options: never) => number>> = {
    OpenOptions: flags.openFlags,
    ReferenceOptions: flags.referenceFlags,
    AddOptions: flags.addFlags,
    UpdateOptions: flags.updateFlags,
    DeleteOptions: flags.deleteFlags,
    ExportOptions: flags.exportFlags,
    ExtractPathsOptions: flags.extractFlags,
    OverwriteOptions: flags.writeFlags,
    MountOptions: flags.mountFlags,
    UnmountOptions: flags.unmountFlags,
    EntriesOptions: options => flags.entriesFlags({ recursive: false, ...(options as object) }),
    WimlibSettings: flags.initFlags,
    InfoChange: options => Number(flags.packInfo('guid' in options ? { guid: '0'.repeat(32) } : options)['flags']),
  }
  const declared = [...HEADER.matchAll(/^#define (WIMLIB_\w*FLAG_\w+|WIMLIB_CHANGE_\w+)\s+0x([0-9a-fA-F]+)$/gm)]
  t.ok(declared.length >= 95, `${declared.length} flags`)
  for (const [, name = '', number = ''] of declared) {
    const row = ROWS.get(name)
    t.ok(row && (row.ours || row.note), name)
    const option = /^`(\w+)(?:: (?:'(\w+)'|(false)))?`$/.exec(row?.ours ?? '')
    if (!option) continue
    const [, key = '', word, no] = option
    const call = calls[row?.note.replaceAll('`', '') ?? '']
    t.equal(call?.({ [key]: word ?? !no } as never), Number.parseInt(number, 16), `${name}: ${row?.ours}`)
  }
  t.end()
})

t.test('every error of wimlib.h has its name', t => {
  const codes = [...HEADER.matchAll(/^\s*(WIMLIB_ERR_\w+)\s*= \d+,/gm)].map(([, name = '']) => name)
  t.ok(codes.length >= 70)
  t.same(
    codes.filter(code => code !== 'WIMLIB_ERR_SUCCESS' && !isWimlibErrorCode(code)),
    [],
  )
  t.end()
})

t.test('wimlibVersion() is that of the libwim that is used', t => {
  t.match(stowage.wimlibVersion(), /^1\.1[3-9]\.\d+$/)
  t.end()
})
