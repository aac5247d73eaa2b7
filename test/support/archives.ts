/** Archives as other tools write them, member by member: what a test then does to one is in the test. */
import { type Header, pack } from 'tar-stream'
import { hexOf } from '../../src/oci/digest.js'
import type { TestImage } from './images.js'

/** A member: content, or where a link goes to. A name may stand there twice, in a list. */
export type Entry = Uint8Array | string | { readonly symlink: string } | { readonly link: string }
export type Entries = Readonly<Record<string, Entry>> | readonly (readonly [string, Entry])[]

/** A tar of `entries`, in their order, all times 1970. */
export async function makeArchive(entries: Entries): Promise<Buffer> {
  const tar = pack()
  for (const [name, entry] of Array.isArray(entries)
    ? (entries as readonly (readonly [string, Entry])[])
    : Object.entries(entries)) {
    const header: Partial<Header> & { name: string } = { name, mtime: new Date(0) }
    if (typeof entry === 'string' || entry instanceof Uint8Array) tar.entry(header, Buffer.from(entry))
    else if ('symlink' in entry) tar.entry({ ...header, type: 'symlink', linkname: entry.symlink })
    else tar.entry({ ...header, type: 'link', linkname: entry.link })
  }
  tar.finalize()
  const pieces: Uint8Array[] = []
  for await (const piece of tar as AsyncIterable<Uint8Array>) pieces.push(piece) // tar-stream does not type its pieces
  return Buffer.concat(pieces)
}

/** The members of a docker archive before docker 25: `<hex>.json` and `<n>/layer.tar`, and the list. */
export function dockerEntries(
  images: readonly { readonly image: TestImage; readonly tags: readonly string[] | null }[],
): Record<string, Entry> {
  const entries: Record<string, Entry> = {}
  const list = images.map(({ image, tags }) => {
    const Config = `${hexOf(image.config.digest)}.json`
    entries[Config] = image.blobs.get(image.config.digest)
    const Layers = image.layers.map(({ digest }) => `${hexOf(digest).slice(0, 12)}/layer.tar`)
    for (const [n, { digest }] of image.layers.entries()) entries[Layers[n] ?? ''] = image.blobs.get(digest)
    return { Config, RepoTags: tags, Layers }
  })
  return { ...entries, 'manifest.json': JSON.stringify(list) }
}

/** {@link dockerEntries} as a tar. */
export async function dockerArchive(images: Parameters<typeof dockerEntries>[0]): Promise<Buffer> {
  return await makeArchive(dockerEntries(images))
}
