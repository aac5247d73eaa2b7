/**
 * What a host accepts of one file of a WIM, and what a layer says instead where the meaning is clear. Sources: MS-FSA
 * for the calls that an importer makes; go-winio's documented behavior.
 */
import * as buffer from 'node:buffer'
import type { Dentry } from '../../wim/dentry.js'
import {
  attributesFlaw,
  type ExtendedAttribute,
  truncatedAttributes,
  unpackAttributes,
} from '../../windows/extended-attributes.js'
import { FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_TEMPORARY } from '../../windows/file-attributes.js'
import { HOST_TIME_WORDS, isHostTime } from '../../windows/filetime.js'
import {
  encodeReparseData,
  isLayerReparseTag,
  parseReparsePoint,
  type ReparsePoint,
  targetOnImageDrive,
} from '../../windows/reparse-point.js'
import { securityDescriptorFlaw } from '../../windows/security-descriptor.js'
import { type LayerTree, missingBlob } from './wim-tree.js'

const NONE: readonly never[] = []
/** Flag of a reparse point: the target was stored as it was, whatever RP_FIX says. */
const NOT_FIXED = 1

/**
 * The attributes for the layer: a host refuses TEMPORARY on a directory (STATUS_INVALID_PARAMETER), and a junction that
 * is not one (STATUS_NOT_A_DIRECTORY).
 */
export function hostAttributes({ attributes }: Dentry, point: ReparsePoint | undefined): number {
  const shown = point?.mountPoint === true ? attributes | FILE_ATTRIBUTE_DIRECTORY : attributes
  return ((shown & FILE_ATTRIBUTE_DIRECTORY) === 0 ? shown : shown & ~FILE_ATTRIBUTE_TEMPORARY) >>> 0
}

/** Whether a host cannot read one of the times of the dentry from a layer, or it is not set. */
export function hasOddTimes(dentry: Dentry): boolean {
  if (dentry.timesWithin(HOST_TIME_WORDS.low, HOST_TIME_WORDS.high)) return false
  return [dentry.creationTime, dentry.accessTime, dentry.writeTime].some(time => !isHostTime(time))
}

/** For each security descriptor of the image, why Windows would refuse it; undefined if it would not. */
export function securityFlaws({ security }: LayerTree): readonly (string | undefined)[] {
  return security.map(securityDescriptorFlaw)
}

/** Extended attributes, as far as a host accepts them. */
interface Accepted {
  readonly accepted: readonly ExtendedAttribute[]
  /** Whether there are others. */
  readonly refused: boolean
}

const NO_ATTRIBUTES: Accepted = { accepted: NONE, refused: false }

/**
 * The extended attributes for the layer, or the reason why a host refuses them; with `lossless`, none then. Throws
 * WIM_CORRUPT.
 */
export function acceptedAttributes(packed: Buffer, path: () => string, lossless: boolean): Accepted | string {
  if (packed.length === 0) return NO_ATTRIBUTES
  const attributes = unpackAttributes(packed)
  if (!attributes) throw truncatedAttributes(path())
  const flaw =
    attributesFlaw(attributes) ??
    (attributes.every(({ name }) => buffer.isUtf8(name)) ? undefined : 'the name of an extended attribute is not UTF-8')
  if (flaw === undefined)
    return { accepted: attributes.map(({ name, ...rest }) => ({ name: name.toString(), ...rest })), refused: false }
  return lossless ? { accepted: NONE, refused: true } : flaw
}

/** A reparse point, as the layer holds it. */
interface AcceptedLink {
  /** Undefined for a reparse point that Windows sees as a plain file or directory. */
  readonly point: ReparsePoint | undefined
  readonly fixup: 'none' | 'kept' | 'moved'
  readonly reparseData: Buffer | undefined
}

export interface LinkOptions {
  readonly reparseDataOf: (dentry: Dentry) => Buffer | undefined
  readonly lossless: boolean
  readonly rpfix: boolean
}

/** The reparse point for the layer, or the reason why a layer cannot hold it. Throws WIM_CORRUPT. */
export function acceptedLink(
  dentry: Dentry,
  path: () => string,
  { reparseDataOf, lossless, rpfix }: LinkOptions,
): AcceptedLink | string {
  const { reparseTag: tag, reparseFlags } = dentry
  const linked = isLayerReparseTag(tag)
  if (!linked && !lossless) return `reparse tag 0x${tag.toString(16).padStart(8, '0')}`
  const stream = dentry.streams.find(({ type }) => type === 'reparse')
  if (stream?.blob !== undefined && stream.blob < 0) throw missingBlob(path(), stream)
  const data = reparseDataOf(dentry)
  if (!data && stream) return 'reparse data longer than Windows allows'
  if (!data && linked) return 'a reparse point without reparse data'
  if (!data || !linked) return { point: undefined, fixup: 'none', reparseData: data ?? Buffer.alloc(0) }
  const fixed = rpfix && (reparseFlags & NOT_FIXED) === 0
  const moved = fixed ? targetOnImageDrive(tag, data, path()) : undefined
  const point = parseReparsePoint(tag, data, path())
  const target = moved ?? point.target
  if (target === '' || target.includes('\0') || /\p{Surrogate}/u.test(target))
    return `a link to ${JSON.stringify(target)}, which a tar cannot hold`
  return {
    point: { ...point, target },
    fixup: moved !== undefined ? 'moved' : fixed ? 'kept' : 'none',
    reparseData: encodeReparseData(target, point.mountPoint).equals(data) ? undefined : data,
  }
}
