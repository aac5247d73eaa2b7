/**
 * The volumes of a tar: numbered files that are the tar when put together, and what is written beside each of them.
 * Format: docs/bundle-format.md, "Volumes".
 */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { StowageError } from '../errors.js'
import { type Digest, digestFromHex, parseDigest } from '../oci/digest.js'
import { fields, parseJson, shown, size } from '../oci/json.js'

/** What is known of one volume, wherever the others are. */
export interface VolumeDescription {
  /** The same for all volumes of a set, and for no other set: see {@link setOf}. */
  readonly set: Digest
  /** From 1 to `count`. */
  readonly number: number
  readonly count: number
  /** Where its bytes begin in the tar. */
  readonly offset: number
  /** In bytes. */
  readonly size: number
  /** The size of the tar, in bytes. */
  readonly total: number
  readonly digest: Digest
  /** See {@link sampleVolume}. */
  readonly samples: Digest
}

const SCHEMA_VERSION = 1
/** Largest description that is read, in bytes. */
export const DESCRIPTION_LIMIT = 64 * 1024
/** Most volumes of a set, and the smallest size of all but the last. */
export const MOST_VOLUMES = 9999
export const LEAST_VOLUME = 64 * 1024

const VOLUME = /^(.+\.tar)\.(0\d{2,})$/i
const DESCRIPTION = /^(.+)\.volume-(\d{3,})\.json$/i
const SUMS = /^(.+)\.volumes\.sha256$/i

/**
 * `x.tar.001`: three digits, or as many as the last number needs after a zero, so that `cat x.tar.0*` puts them together
 * in their order.
 */
export function volumeName(tar: string, number: number, count: number): string {
  return `${tar}.${numeral(number, count)}`
}

/** `x.volume-001.json`, which `x.tar.0*` does not match. */
export function descriptionName(tar: string, number: number, count: number): string {
  return `${baseOf(tar)}.volume-${numeral(number, count)}.json`
}

/** `x.volumes.sha256`: the checksums of the volumes beside it, for `sha256sum -c`. */
export function sumsName(tar: string): string {
  return `${baseOf(tar)}.volumes.sha256`
}

/** The tar and the number that the name of a volume says. */
export function parseVolumeName(name: string): { readonly tar: string; readonly number: number } | undefined {
  const [, tar, digits] = VOLUME.exec(name) ?? []
  return tar === undefined || Number(digits) === 0 ? undefined : { tar, number: Number(digits) }
}

/** The number that the name of a description of a volume of `tar` says. */
export function parseDescriptionName(name: string, tar: string): number | undefined {
  const [, base, digits] = DESCRIPTION.exec(name) ?? []
  return base?.toLowerCase() === baseOf(tar).toLowerCase() ? Number(digits) : undefined
}

/** The name of the tar, as far as the name of a description or of a list of checksums says it. */
export function tarBeside(name: string): string | undefined {
  const base = DESCRIPTION.exec(name)?.[1] ?? SUMS.exec(name)?.[1]
  return base === undefined ? undefined : `${base}.tar`
}

/**
 * The identity of a set: the digest of what decides every byte of every volume. `content` is the digest of the tar's
 * bundle.json.
 */
export function setOf(content: Digest, total: number, volumeSize: number): Digest {
  return digestFromHex(createHash('sha256').update(`${content} ${total} ${volumeSize}\n`).digest('hex'))
}

/** How many volumes of `volumeSize` bytes a tar of `total` bytes has, and where each is. */
export function volumesOf(
  total: number,
  volumeSize: number,
): readonly { readonly number: number; readonly offset: number; readonly size: number }[] {
  const count = Math.max(1, Math.ceil(total / volumeSize))
  return Array.from({ length: count }, (_, at) => ({
    number: at + 1,
    offset: at * volumeSize,
    size: Math.min(volumeSize, total - at * volumeSize),
  }))
}

/** All files of a set in one directory: its volumes, and what is written beside them. */
export function filesOfSet(
  tar: string,
  total: number,
  volumeSize: number,
): readonly { readonly name: string; readonly size: number }[] {
  const places = volumesOf(total, volumeSize)
  const count = places.length
  const any = digestFromHex('0'.repeat(64)) // all are equally long
  const names = places.map(({ number }) => volumeName(tar, number, count))
  return [
    ...places.map(({ size }, n) => ({ name: names[n] ?? '', size })),
    ...places.map(({ number, offset, size }) => ({
      name: descriptionName(tar, number, count),
      size: encodeVolumeDescription({ set: any, number, count, offset, size, total, digest: any, samples: any }).length,
    })),
    { name: sumsName(tar), size: names.reduce((sum, name) => sum + 64 + 2 + Buffer.byteLength(name) + 1, 0) },
  ]
}

export function encodeVolumeDescription(description: VolumeDescription): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...description }, null, 2)}\n`)
}

/** Throws INVALID_MANIFEST, and UNSUPPORTED for a later version. `path` is for messages. */
export function parseVolumeDescription(bytes: Uint8Array, path: string): VolumeDescription {
  const object = fields(parseJson(bytes, path), path)
  const version = object['schemaVersion']
  if (version !== SCHEMA_VERSION) {
    throw new StowageError('UNSUPPORTED', `${path} has schema version ${shown(version)}, not ${SCHEMA_VERSION}`, {
      hint: 'Use the version of Stowage that wrote it, or a later one.',
    })
  }
  const description = {
    set: parseDigest(object['set'], `${path}: set`),
    number: size(object, 'number', path),
    count: size(object, 'count', path),
    offset: size(object, 'offset', path),
    size: size(object, 'size', path),
    total: size(object, 'total', path),
    digest: parseDigest(object['digest'], `${path}: digest`),
    samples: parseDigest(object['samples'], `${path}: samples`),
  }
  const { number, count, offset, size: length, total } = description
  const end = offset + length
  const sound = number >= 1 && number <= count && count <= MOST_VOLUMES && end <= total && length > 0
  if (!sound || (number === count) !== (end === total) || (number === 1) !== (offset === 0)) {
    const found = `volume ${number} of ${count} with bytes ${offset} to ${end} of ${total}`
    throw new StowageError('INVALID_MANIFEST', `${path} contradicts itself: ${found}`)
  }
  return description
}

/** How much of a volume is looked at to recognize it: this many pieces of this many bytes. */
const SAMPLES = 8
const SAMPLE = 16 * 1024

/**
 * The digest of 8 pieces of 16 KiB, from its start to its end at equal distances, or of all of a smaller volume: tells
 * volumes apart in a moment. Throws system errors.
 */
export async function sampleFile(path: string, length: number): Promise<Digest> {
  await using file = await open(path, 'r')
  const hash = createHash('sha256').update(`${length}\n`)
  const all = length <= SAMPLES * SAMPLE
  for (let n = 0; n < SAMPLES; n += 1) {
    const at = all ? n * SAMPLE : Math.floor(((length - SAMPLE) / (SAMPLES - 1)) * n)
    if (at >= length) break
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(SAMPLE), 0, SAMPLE, at)
    hash.update(buffer.subarray(0, bytesRead))
  }
  return digestFromHex(hash.digest('hex'))
}

function numeral(number: number, count: number): string {
  return String(number).padStart(Math.max(3, String(count).length + 1), '0')
}

export function baseOf(tar: string): string {
  return tar.replace(/\.tar$/i, '')
}
