/** Layers made in tests, and read by those that are not ours. */
import { execFileSync } from 'node:child_process'
import { type LayerFromWimOptions, type WindowsLayer, writeLayerFromWim } from '../../src/layer/make/from-wim.js'
import { openWim } from '../../src/wim/wim-file.js'
import { wimlib } from './wims.js'

/** The layer of the WIM at `wim`, with the blobs of other WIM files where it needs them. */
export async function make(
  wim: string,
  output: string,
  { references = [], ...options }: LayerFromWimOptions & { force?: boolean; references?: readonly string[] } = {},
): Promise<WindowsLayer> {
  await using opened = await openWim(wim)
  if (references.length > 0) await opened.referenceFiles(references, { glob: true, errorIfNoMatch: true })
  return await writeLayerFromWim(opened, output, options)
}

export interface TarEntry {
  readonly name: string
  readonly type: string
  readonly size: number
  readonly mode: number
  readonly linkname: string
  readonly mtime: number
  readonly pax: Readonly<Record<string, string>>
  readonly sha1: string | null
}

/** The entries as Python's tarfile reads them: a reader that is not ours. */
export function pythonEntries(layer: string): TarEntry[] {
  const program = `
import hashlib, json, sys, tarfile
entries = []
with tarfile.open(sys.argv[1]) as tar:
    for e in tar:
        content = tar.extractfile(e) if e.isreg() else None
        entries.append(dict(name=e.name, type=e.type.decode(), size=e.size, mode=e.mode, linkname=e.linkname, mtime=e.mtime,
            pax=e.pax_headers, sha1=hashlib.sha1(content.read()).hexdigest() if content else None))
sys.stdout.buffer.write(json.dumps(entries).encode())`
  return JSON.parse(
    execFileSync('python3', ['-c', program, layer], { encoding: 'utf8', maxBuffer: 1 << 28 }),
  ) as TarEntry[]
}

/** `dir --detailed` of one image, a block of text for each path. */
export function details(wim: string, image: number): Map<string, string> {
  const blocks = wimlib('dir', wim, String(image), '--detailed').split(/^-{20,}$/m)
  return new Map(
    blocks.flatMap(block => {
      const path = /^Full Path\s+= "(.*)"$/m.exec(block)?.[1]
      return path === undefined ? [] : [[path, block]]
    }),
  )
}

/** A field of such a block. */
export const field = (block: string, name: string): string | undefined =>
  new RegExp(`^\\s*${name}\\s+= (.*)$`, 'm').exec(block)?.[1]
