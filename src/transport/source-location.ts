/** The location of a source as a person writes it: a location, or a path whose content decides what it is. */
import { open, readdir, stat } from 'node:fs/promises'
import { DOCKER_FILE } from '../archive/heads.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import { nearestWord } from '../nearest-word.js'
import { archiveCompressionOf } from '../oci/compression.js'
import { LAYOUT_FILE } from '../oci/layout.js'
import { isPath } from './grammar.js'
import { transports } from './list.js'
import { misspelled, parseLocation } from './location.js'
import type { Location } from './transport.js'

/** What a path can be, by the scheme that reads it. */
const TITLES = {
  bundle: 'a bundle',
  oci: 'an OCI layout',
  wim: 'a WIM file',
  'docker-archive': 'a docker archive',
  'oci-archive': 'an OCI archive',
} as const

type Kind = keyof typeof TITLES

const HEAD_SIZE = 16

/**
 * Parses `text` like {@link parseLocation}; a path (`./save.tar`) is what its content says. A bare name of a file or
 * directory that exists here is refused with what to write, because it would name an image in a registry. Throws
 * INVALID_ARGUMENT, FILE_NOT_FOUND.
 */
export async function sourceLocation(text: string): Promise<Location> {
  if (transports().some(({ scheme }) => text.startsWith(`${scheme}:`))) return parseLocation(text)
  const path = isPath(text)
  const found = await stat(text).catch((error: unknown) => {
    if (!path) return undefined
    const reported = fileError(error, text)
    const ref = /[^\\/]:/.test(text.slice(2)) && reported instanceof StowageError
    throw ref
      ? reported.withHint('To name an image in it, write its kind too: oci:DIR:REF, bundle:PATH:REF.')
      : reported
  })
  if (!found) {
    await refuseMisspelled(text)
    return parseLocation(text)
  }
  if (found.isFIFO()) {
    throw new StowageError('INVALID_ARGUMENT', `${text} is a pipe, and what it holds is not known before it is read`, {
      hint: `Write docker-archive:${text}, oci-archive:${text} or bundle:${text}.`,
    })
  }
  const kind = found.isDirectory() ? await kindOfDirectory(text) : found.isFile() ? await kindOfFile(text) : undefined
  if (path && kind) return parseLocation(`${kind}:${text}`)
  const thing = found.isDirectory() ? 'a directory' : 'a file'
  if (kind) {
    throw new StowageError('INVALID_ARGUMENT', `${text} is ${TITLES[kind]}`, {
      hint: `Write ${kind}:${text}. For the image of this name in a registry, write docker://${text}.`,
    })
  }
  throw new StowageError(
    'INVALID_ARGUMENT',
    `${text} is ${thing}, but neither ${Object.values(TITLES).join(' nor ')}`,
    {
      hint: found.isDirectory()
        ? `To make an image of the files in it, write dir:${text}.`
        : `For the image of this name in a registry, write docker://${text}.`,
    },
  )
}

/**
 * Throws INVALID_ARGUMENT if `text` is nearly a short scheme (`ocii:`) and a path that exists: there are images with such
 * names, but hardly with that tag.
 */
async function refuseMisspelled(text: string): Promise<void> {
  const [word = '', path = ''] = text.split(':')
  if (path === '' || word.includes('/')) return
  const schemes = transports().flatMap(({ scheme, source }) => (source ? [scheme] : []))
  const scheme = nearestWord(word, schemes, 1)
  if (scheme === undefined || !(await stat(path).catch(() => undefined))) return
  throw misspelled(text, scheme)
}

async function kindOfDirectory(path: string): Promise<Kind | undefined> {
  const kind = kindOf(new Set(await readdir(path)))
  return kind === 'docker-archive' ? 'oci' : kind // unpacked: its error says what to do
}

async function kindOfFile(path: string): Promise<Kind | undefined> {
  const file = await open(path)
  try {
    const [{ headOf }, { isWimHead }] = await Promise.all([
      import('../archive/archive-stream.js'),
      import('../wim/header.js'),
    ])
    const head = await headOf(file, HEAD_SIZE)
    if (isWimHead(head)) return 'wim'
    // It reads bundles and archives of all kinds; to know more, all of it would have to be decompressed
    if (archiveCompressionOf(head)) return 'docker-archive'
    const { fileInput, listArchive } = await import('../tar/archive.js')
    const members = await listArchive(await fileInput(file), path, { foreign: true })
    const kind = kindOf(new Set(members.map(({ name }) => name)))
    return kind === 'oci' ? 'oci-archive' : kind
  } catch (error) {
    if (error instanceof StowageError && error.code === 'INVALID_TAR') return undefined
    throw systemCode(error) ? fileError(error, path) : error
  } finally {
    await file.close()
  }
}

function kindOf(names: ReadonlySet<string>): Kind | undefined {
  if (names.has('bundle.json')) return 'bundle'
  if (names.has(DOCKER_FILE) && !names.has(LAYOUT_FILE)) return 'docker-archive'
  return names.has(LAYOUT_FILE) ? 'oci' : undefined
}
