/** Proposals for a value: words, paths, locations, and the images and sources of this machine. */
import { readdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { EngineClient } from '../../engine/client.js'
import type { StoredImage } from '../../image/image-store.js'
import type { Transport } from '../../transport/transport.js'
import type { LocationUse, Takes } from '../command.js'

export interface Proposal {
  /** The whole word. If it ends in `/`, `:` or `=`, it is to be continued. */
  readonly word: string
  readonly text?: string
}

/** Milliseconds that an engine and a store have: whoever presses the key waits. */
const PATIENCE = 700

/** `operands` are those before `word`. Throws what reading directories and stores throws. */
export async function proposalsFor(
  takes: Takes,
  word: string,
  operands: readonly string[],
): Promise<readonly Proposal[]> {
  if (typeof takes !== 'string') return beginning(takes, word)
  switch (takes) {
    case 'path':
    case 'directory':
      return await paths(word, takes === 'directory')
    case 'container':
      return beginning(await containers(), word)
    case 'image':
      return beginning(await imagesHere(), word)
    case 'image of the bundle':
      return beginning(
        await imagesIn(await transportWhere(({ store }) => store?.sealed === true), operands[0] ?? ''),
        word,
      )
    case 'image of the WIM':
      return await imagesOfWim(operands[0] ?? '', word)
    case 'image of the WIM or path':
      return [...(await imagesOfWim(operands[0] ?? '', word).catch(() => [])), ...(await paths(word, false))]
    case 'registered source': {
      const { listSources } = await import('../../base-image/sources.js')
      return beginning(
        (await listSources()).map(({ name }) => name),
        word,
      )
    }
    default:
      return await locations(word, USES[takes])
  }
}

const USES: Readonly<Record<LocationUse, (transport: Transport) => boolean>> = {
  source: ({ source }) => source !== undefined,
  destination: ({ destination }) => destination !== undefined,
  'load destination': ({ destination }) => destination !== undefined && destination.seals !== true,
  store: ({ store }) => store !== undefined,
}

function beginning(words: readonly string[], word: string): readonly Proposal[] {
  return [...new Set(words)].filter(each => each.startsWith(word)).map(each => ({ word: each }))
}

/** Schemes; after a scheme, what is there: paths, images of the engine, or images in the store that is named. */
async function locations(word: string, fits: (transport: Transport) => boolean): Promise<readonly Proposal[]> {
  const { transports } = await import('../../transport/list.js')
  const usable = transports().filter(fits)
  const schemes = usable.map(each => /^[a-z-]+:(?:\/\/)?/.exec(formOf(each))?.[0] ?? `${each.scheme}:`)
  const begun = beginning(schemes, word).filter(proposal => proposal.word !== word)
  const scheme = usable.find(each => word.startsWith(`${each.scheme}:`))
  if (!scheme) return [...begun, ...(/^[./~]/.test(word) ? await paths(word, false) : [])]
  const prefix = `${scheme.scheme}:`
  const rest = word.slice(prefix.length)
  const found = scheme.onDisk ? await paths(rest, formOf(scheme).startsWith(`${prefix}DIR`)) : []
  const proposals = found.map(({ word: path }) => ({ word: `${prefix}${path}` }))
  return [...begun, ...proposals, ...beginning(await locationsIn(scheme, rest), word)]
}

function formOf({ source, destination }: Transport): string {
  return (source ?? destination)?.form ?? ''
}

/** Locations of the images in the store that `rest` names after the scheme: of an engine, or of `DIR:`. */
async function locationsIn(transport: Transport, rest: string): Promise<readonly string[]> {
  if (!transport.store) return []
  const prefix = `${transport.scheme}:`
  if (!transport.onDisk) return (await engineImages()).map(name => `${prefix}${name}`)
  const path = rest === '' ? '' : /^(.*):[^/]*$/s.exec(rest)?.[1]
  if (path === undefined) return []
  const names = await imagesIn(transport, path)
  return names.map(name => `${prefix}${path}:${name}`)
}

/** The names of the images in the engine or, if none answers, in the default store. */
async function imagesHere(): Promise<readonly string[]> {
  const held = await engineImages().catch(() => [])
  if (held.length > 0) return held
  return await imagesIn(await transportWhere(({ store, onDisk }) => store?.sealed === false && onDisk), '')
}

async function transportWhere(fits: (transport: Transport) => boolean): Promise<Transport | undefined> {
  const { transports } = await import('../../transport/list.js')
  return transports().find(fits)
}

async function engineImages(): Promise<readonly string[]> {
  using client = await engineHere()
  if (!client) return []
  const { listEngineImages } = await import('../../engine/inventory.js')
  const images = await listEngineImages(client, { signal: AbortSignal.timeout(PATIENCE) })
  return images.flatMap(({ names }) => names).filter(name => !name.includes('<none>'))
}

/** The names of the containers in the engine, also of those that have ended. */
async function containers(): Promise<readonly string[]> {
  using client = await engineHere()
  const found = await client?.call('GET', '/containers/json?all=1', { signal: AbortSignal.timeout(PATIENCE) })
  const { isObject } = await import('../../oci/json.js')
  return (Array.isArray(found) ? (found as unknown[]) : []).flatMap(container => {
    const names = isObject(container) ? container['Names'] : undefined
    const all: readonly unknown[] = Array.isArray(names) ? names : []
    // Those with a second slash are names that other containers link to it by
    return all.flatMap(name => (typeof name === 'string' && /^\/[^/]+$/.test(name) ? [name.slice(1)] : []))
  })
}

/** Only an engine on this machine: a key must not open connections to others. */
async function engineHere(): Promise<EngineClient | undefined> {
  const { findEngineEndpoint } = await import('../../engine/endpoint.js')
  if ((await findEngineEndpoint()).type !== 'socket') return undefined
  return await (await import('../../engine/client.js')).engineAt(undefined)
}

/** The names of the images in the store at `path`; the default store has none. */
async function imagesIn(transport: Transport | undefined, path: string): Promise<readonly string[]> {
  if (!transport) return []
  const [{ openImageStore }, { familiarReference, isReference, parseReference }] = await Promise.all([
    import('../../transport/open.js'),
    import('../../oci/reference.js'),
  ])
  const signal = AbortSignal.timeout(PATIENCE)
  await using opened = await openImageStore({ store: `${transport.scheme}:${path}`, signal })
  const images: readonly StoredImage[] = await opened.images({ signal })
  const familiar = (name: string): string =>
    /[/:@]/.test(name) && isReference(name) ? familiarReference(parseReference(name)) : name
  return images.flatMap(({ names, refNames }) => [...names.map(familiar), ...refNames])
}

/** The numbers of the images in the WIM at `path`, with their names. */
async function imagesOfWim(path: string, word: string): Promise<readonly Proposal[]> {
  const { openWim } = await import('../../wim/wim-file.js')
  await using wim = await openWim(path, { signal: AbortSignal.timeout(PATIENCE) })
  return wim
    .images()
    .map(({ index, name }): Proposal => ({ word: `${index}`, ...(name === '' ? {} : { text: name }) }))
    .filter(proposal => proposal.word.startsWith(word))
}

/** Files and directories that `word` begins; a directory ends with a slash. */
async function paths(word: string, onlyDirectories: boolean): Promise<readonly Proposal[]> {
  const above = word.slice(0, word.lastIndexOf('/') + 1)
  const name = word.slice(above.length)
  const directory = above.startsWith('~/') ? join(homedir(), above.slice(2)) : above === '' ? '.' : above
  const entries = await readdir(directory).catch(() => [])
  const wanted = entries.filter(entry => entry.startsWith(name) && (name.startsWith('.') || !entry.startsWith('.')))
  const proposals = await Promise.all(
    wanted.sort().map(async entry => {
      const isDirectory = (await stat(join(directory, entry)).catch(() => undefined))?.isDirectory() === true
      return isDirectory ? `${above}${entry}/` : onlyDirectories ? [] : `${above}${entry}`
    }),
  )
  return proposals.flat().map(path => ({ word: path }))
}
