/**
 * Metadata in a WIM that a Windows layer cannot express: counted as lost, or kept in private PAX records, which the
 * importer of Windows ignores.
 */
import { FILE_ATTRIBUTE_REPARSE_POINT } from '../../windows/file-attributes.js'
import type { LayerEntry } from './entries.js'

/** The number of entries that lose each kind of metadata. */
export interface LayerLosses {
  /** 8.3 names. */
  readonly shortNames: number
  readonly objectIds: number
  /** Links whose reparse data a host will recreate differently. */
  readonly reparseData: number
  /** Reparse points whose flags in the WIM are not 1, the usual value. */
  readonly reparseFlags: number
  /** Entries whose extended attributes have flags. */
  readonly extendedAttributeFlags: number
  /** Unix owner, mode and device. */
  readonly unixData: number
  /** Entries with a time that is not set, or that a host cannot read from a layer. */
  readonly times: number
}

export const NOTHING_LOST: LayerLosses = {
  shortNames: 0,
  objectIds: 0,
  reparseData: 0,
  reparseFlags: 0,
  extendedAttributeFlags: 0,
  unixData: 0,
  times: 0,
}

/** The number of entries about which the layer says something else than the WIM, because a host would refuse it. */
export interface LayerMends {
  /** Links whose target was on the drive of the image, which is now `C:`. */
  readonly linkDrives: number
  /** Directories that were temporary, and junctions that were not directories. */
  readonly attributes: number
  /** Files that must not be hard links, and are now files of their own. */
  readonly hardLinks: number
  /** With `lossless`: entries whose security descriptor is not valid, and who inherit that of their directory. */
  readonly securityDescriptors: number
  /** With `lossless`: entries with extended attributes that NTFS does not allow, who have none. */
  readonly extendedAttributes: number
}

export const NOTHING_MENDED: LayerMends = {
  linkDrives: 0,
  attributes: 0,
  hardLinks: 0,
  securityDescriptors: 0,
  extendedAttributes: 0,
}

/**
 * The records of `entry` under `STOWAGE.`, which docs/layer.md describes. A hard link has only its short name, because
 * the rest belongs to the file.
 */
export function losslessRecords(entry: LayerEntry, descriptor: string | undefined): Readonly<Record<string, string>> {
  const { dentry } = entry
  const records: Record<string, string> = {}
  if (keepsShortName(entry)) records['STOWAGE.shortname'] = dentry.shortName
  if (entry.type === 'hard link') return records
  if (dentry.objectId.length > 0) records['STOWAGE.objectid'] = dentry.objectId.toString('hex')
  if (dentry.unixData.length > 0) records['STOWAGE.unixdata'] = dentry.unixData.toString('hex')
  if (entry.reparseData) {
    const head = Buffer.alloc(8)
    head.writeUInt32LE(dentry.reparseTag)
    head.writeUInt16LE(dentry.reparseFlags & 0xffff, 4)
    records['STOWAGE.reparse'] = Buffer.concat([head, entry.reparseData]).toString('base64')
  }
  if (shownAttributes(entry) !== dentry.attributes) records['STOWAGE.fileattr'] = String(dentry.attributes)
  if (hasReparseFlags(entry)) records['STOWAGE.reparseflags'] = String(dentry.reparseFlags)
  if (entry.type === 'symlink' && entry.fixup !== 'none') records['STOWAGE.rpfix'] = '1'
  if (entry.oddTimes) records['STOWAGE.times'] = [dentry.creationTime, dentry.accessTime, dentry.writeTime].join(' ')
  if (entry.refused.security && descriptor !== undefined) records['STOWAGE.rawsd'] = descriptor
  if (entry.refused.extendedAttributes) records['STOWAGE.ea'] = dentry.extendedAttributes.toString('base64')
  for (const { name, flags } of entry.extendedAttributes)
    if (flags !== 0) records[`STOWAGE.eaflags.${name}`] = String(flags)
  return records
}

/** The attributes that Windows sees: a reparse point that a tar cannot express is a plain file or directory there. */
export function shownAttributes({ type, attributes }: LayerEntry): number {
  return (type === 'symlink' ? attributes : attributes & ~FILE_ATTRIBUTE_REPARSE_POINT) >>> 0
}

/** Counts the metadata that a layer loses, and what it says otherwise than the WIM. */
export class LossCount {
  readonly #lossless: boolean
  readonly #losses = { ...NOTHING_LOST } as { -readonly [K in keyof LayerLosses]: number } // a copy of its own
  readonly #mends = { ...NOTHING_MENDED } as { -readonly [K in keyof LayerMends]: number }

  constructor(lossless: boolean) {
    this.#lossless = lossless
  }

  add(entry: LayerEntry): void {
    const { dentry } = entry
    const losses = this.#losses
    if (dentry.shortName !== '' && !(this.#lossless && keepsShortName(entry))) losses.shortNames += 1
    if (entry.type === 'hard link') return
    this.#addMends(entry)
    if (this.#lossless) return
    if (dentry.objectId.length > 0) losses.objectIds += 1
    if (dentry.unixData.length > 0) losses.unixData += 1
    const fixup = entry.type === 'symlink' ? entry.fixup : 'none'
    if (entry.reparseData && fixup !== 'moved') losses.reparseData += 1
    if (hasReparseFlags(entry) && !(fixup !== 'none' && dentry.reparseFlags === 0)) losses.reparseFlags += 1
    if (entry.extendedAttributes.some(({ flags }) => flags !== 0)) losses.extendedAttributeFlags += 1
    if (entry.oddTimes) losses.times += 1
  }

  losses(): LayerLosses {
    return { ...this.#losses }
  }

  mends(): LayerMends {
    return { ...this.#mends }
  }

  #addMends(entry: LayerEntry): void {
    const mends = this.#mends
    if (entry.type === 'symlink' && entry.fixup === 'moved') mends.linkDrives += 1
    if (entry.attributes !== entry.dentry.attributes) mends.attributes += 1
    if (entry.type === 'file' && entry.copied === true) mends.hardLinks += 1
    if (entry.refused.security) mends.securityDescriptors += 1
    if (entry.refused.extendedAttributes) mends.extendedAttributes += 1
  }
}

/** Whether a PAX record can hold the short name: not if it has an unpaired surrogate or a NUL. */
function keepsShortName({ dentry: { shortName } }: LayerEntry): boolean {
  return shortName !== '' && !/\p{Surrogate}|\0/u.test(shortName)
}

function hasReparseFlags({ dentry: { reparseTag, reparseFlags } }: LayerEntry): boolean {
  return reparseTag !== 0 && reparseFlags !== 1
}
