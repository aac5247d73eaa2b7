/** A base layer of Windows and two upon it that change its registry by delta hives, as Windows exports them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeHive, type MadeKey, type MadeValue } from './hives.js'
import { directoryEntry, fileEntry, goodLayer, type MadeEntry, makeTar } from './layers.js'

const SOFTWARE: MadeKey = { keys: { Kept: { values: { a: number(1) } }, Gone: {} } }
const PATCH: MadeKey = { keys: { kept: { values: { b: number(2) } }, Gone: { layer: 'tombstone' } } }
const APPLICATION: MadeKey = { keys: { Kept: { deleted: ['a'] }, Application: { values: { c: number(3) } } } }

/** A DWORD. */
export function number(value: number): MadeValue {
  return { type: 4, data: Buffer.from([value, 0, 0, 0]) }
}

export function hive(directory: string, key: MadeKey): Buffer {
  return readFileSync(makeHive(join(directory, 'hive'), key))
}

/** `base.tar`, `patch.tar` and `application.tar` in `directory`. */
export function hiveLayers(directory: string): string[] {
  const tar = (name: string, entries: readonly MadeEntry[]): string => {
    writeFileSync(join(directory, name), makeTar(entries))
    return join(directory, name)
  }
  const base = goodLayer().map(entry =>
    entry.name === 'Files/Windows/System32/config/SOFTWARE' ? { ...entry, content: hive(directory, SOFTWARE) } : entry,
  )
  const upper = (key: MadeKey, ...more: readonly MadeEntry[]): MadeEntry[] => [
    directoryEntry('Files'),
    ...more,
    directoryEntry('Hives'),
    fileEntry('Hives/Software_Delta', hive(directory, key)),
    fileEntry('Hives/Sam_Delta', hive(directory, {})),
  ]
  return [
    tar('base.tar', base),
    tar('patch.tar', upper(PATCH, fileEntry('Files/patch'))),
    tar('application.tar', upper(APPLICATION, fileEntry('Files/application'), { name: 'Files/.wh.patch' })),
  ]
}
