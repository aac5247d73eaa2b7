/** `stowage layer inspect`: shows what is in a layer. */
import { command, flag, number, required } from '../command.js'
import { StowageError } from '../../errors.js'
import { inspectLayer, type LayerInspection } from '../../layer/read/inspect.js'
import { openLayer } from '../../layer/read/read-layer.js'
import type { LayerTarEntry } from '../../layer/read/tar-entry.js'
import { READABLE } from './names.js'
import { count, jsonText, printable, table } from '../render.js'
import { exactSize, formatSize } from '../../size-text.js'

export const inspect = command({
  operands: {
    layer: required(`A layer: a tar, ${READABLE}; - is stdin`, 'path'),
  },
  options: {
    largest: number('How many of the largest files to name', { default: 10 }),
    entries: flag('List every entry as well'),
  },
  examples: [
    ['layer inspect layer.tar.gz', 'Digest, diffID and what is in it'],
    ['layer inspect layer.tar.zst --entries --json', 'Every entry with its PAX records, as JSON'],
  ],
  run: async ({ layer, largest, entries, ...options }, { signal, onProgress, report, print }) => {
    if (!Number.isInteger(largest) || largest < 0) {
      throw new StowageError('INVALID_ARGUMENT', `--largest: expected a whole number, 0 or more, but found ${largest}`)
    }
    // Print entries as they are read: one document could exceed the maximum length of a string
    let before = `{"schema": "stowage.layer-inspect/v1", "path": ${jsonText(layer)}, "entries": [\n`
    const inspection = await inspectLayer(await openLayer(layer, { signal }), {
      largest,
      signal,
      onProgress,
      onEntries: !entries
        ? undefined
        : async batch => {
            await print(
              options.json
                ? before + batch.map(entry => jsonText(document(entry))).join(',\n')
                : printable(batch.map(line).join('')),
            )
            before = ',\n'
          },
    })
    if (!entries || !options.json)
      report({ schema: 'stowage.layer-inspect/v1', path: layer, ...inspection }, text(layer, inspection))
    else await print(`${before === ',\n' ? '' : before}\n], ${jsonText(inspection).slice(1)}\n`)
  },
})

function document({ head: _, sha256: _none, records, ...entry }: LayerTarEntry): Readonly<Record<string, unknown>> {
  return { ...entry, records: Object.fromEntries(records) }
}

const LETTERS = {
  file: '-',
  'hard link': 'h',
  symlink: 'l',
  directory: 'd',
  'character device': 'c',
  'block device': 'b',
  fifo: 'p',
} as const

function line({ type, mode, uid, gid, size, path, linkname, mtime, records }: LayerTarEntry): string {
  const permissions = (mode & 0o7777).toString(8).padStart(4, '0')
  const time = records.get('mtime') ?? String(mtime)
  const target = type === 'symlink' ? ` -> ${linkname}` : type === 'hard link' ? ` = ${linkname}` : ''
  const name = `${path}${target}`.replaceAll('\n', '\\n')
  return `${LETTERS[type]} ${permissions} ${uid}/${gid} ${String(size).padStart(11)} ${time.padEnd(22)} ${name}\n`
}

function text(path: string, inspection: LayerInspection): string {
  const { counts, largest, records, owners } = inspection
  const kinds: [number, string, string?][] = [
    [counts.directories, 'directory', 'directories'],
    [counts.files, 'file'],
    [counts.hardLinks, 'hard link'],
    [counts.symlinks, 'symbolic link'],
    [counts.devices, 'device'],
    [counts.fifos, 'fifo'],
  ]
  const marks = [
    ...(counts.streams > 0 ? [`${counts.streams} of the files are alternate streams`] : []),
    ...(counts.whiteouts > 0 ? [`${counts.whiteouts} of the files are whiteouts`] : []),
  ]
  const words = kinds.filter(([n]) => n > 0).map(kind => count(...kind))
  const rows = [
    ['compression', inspection.compression],
    ['digest', inspection.digest],
    ['size', exactSize(inspection.size)],
    ['diffID', inspection.diffId],
    ['uncompressed', exactSize(inspection.uncompressedSize)],
    ['content', exactSize(inspection.contentSize)],
    ['entries', [...words, ...marks].join(', ') || 'none'],
    ...owners.slice(0, 10).map(({ uid, gid, uname, gname, count: entries }) => {
      const names = uname || gname ? ` ${uname}:${gname}` : ''
      return ['owner', `${uid}:${gid}${names}, ${count(entries, 'entry', 'entries')}`]
    }),
    ...(owners.length > 10 ? [['owner', `and ${owners.length - 10} more`]] : []),
  ]
  const parts = [table(['LAYER', path], rows)]
  if (largest.length > 0)
    parts.push(
      table(
        ['LARGEST', ''],
        largest.map(file => [formatSize(file.size), file.path]),
      ),
    )
  if (records.length > 0)
    parts.push(
      table(
        ['PAX RECORD', 'ENTRIES'],
        records.map(({ key, count }) => [key, String(count)]),
      ),
    )
  return parts.join('\n')
}
