/**
 * Metadata in a WIM that a Windows layer cannot express: counted as lost, or kept in private PAX records, which the
 * importer of Windows ignores.
 */
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
}

/**
 * The records of `entry` under `STOWAGE.`: `shortname` (UTF-8), `objectid` and `unixdata` (hex), `reparse` (base64 of
 * the tag, the flags and a zero, little-endian in 4, 2 and 2 bytes, then the reparse data), `fileattr` (all attributes
 * in decimal, if `MSWINDOWS.fileattr` omits some), `reparseflags` (decimal, if not 1), and `eaflags.NAME` (decimal, if
 * not 0). A hard link has only its short name, because the rest belongs to the file.
 */
export function losslessRecords(entry: LayerEntry): Readonly<Record<string, string>> {
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
    if (entry.type !== 'symlink') records['STOWAGE.fileattr'] = String(dentry.attributes)
  }
  if (hasReparseFlags(entry)) records['STOWAGE.reparseflags'] = String(dentry.reparseFlags)
  for (const { name, flags } of entry.extendedAttributes)
    if (flags !== 0) records[`STOWAGE.eaflags.${name}`] = String(flags)
  return records
}

/** Counts the metadata that a layer loses. */
export class LossCount {
  readonly #lossless: boolean
  #losses = { shortNames: 0, objectIds: 0, reparseData: 0, reparseFlags: 0, extendedAttributeFlags: 0, unixData: 0 }

  constructor(lossless: boolean) {
    this.#lossless = lossless
  }

  add(entry: LayerEntry): void {
    const { dentry } = entry
    const losses = this.#losses
    if (dentry.shortName !== '' && !(this.#lossless && keepsShortName(entry))) losses.shortNames += 1
    if (this.#lossless || entry.type === 'hard link') return
    if (dentry.objectId.length > 0) losses.objectIds += 1
    if (dentry.unixData.length > 0) losses.unixData += 1
    if (entry.reparseData) losses.reparseData += 1
    if (hasReparseFlags(entry)) losses.reparseFlags += 1
    if (entry.extendedAttributes.some(({ flags }) => flags !== 0)) losses.extendedAttributeFlags += 1
  }

  losses(): LayerLosses {
    return { ...this.#losses }
  }
}

/** Whether a PAX record can hold the short name: not if it has an unpaired surrogate or a NUL. */
function keepsShortName({ dentry: { shortName } }: LayerEntry): boolean {
  return shortName !== '' && !/\p{Surrogate}|\0/u.test(shortName)
}

function hasReparseFlags({ dentry: { reparseTag, reparseFlags } }: LayerEntry): boolean {
  return reparseTag !== 0 && reparseFlags !== 1
}
