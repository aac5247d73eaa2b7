/** Parses the header of a WIM file. Source: Microsoft's WIM white paper, "Header", and wimlib's pipable variant. */
import { open } from 'node:fs/promises'
import { fileError, StowageError } from '../errors.js'

/** The location of a resource in the file. Sizes and the offset are in bytes. */
export interface ResourceHeader {
  /** Size in the file. */
  readonly size: number
  readonly flags: number
  readonly offset: number
  readonly originalSize: number
}

export interface WimHeader {
  /** `MSWIM`, or `WLPWM` for a pipable WIM, each with three zero bytes. */
  readonly magic: string
  readonly headerSize: number
  readonly version: number
  readonly flags: number
  readonly chunkSize: number
  /** 32 hex digits. */
  readonly guid: string
  readonly partNumber: number
  readonly totalParts: number
  readonly imageCount: number
  readonly blobTable: ResourceHeader
  readonly xmlData: ResourceHeader
  readonly bootMetadata: ResourceHeader
  readonly bootIndex: number
  readonly integrity: ResourceHeader
}

/** Size of the header in bytes. */
export const HEADER_SIZE = 208
/** {@link WimHeader.magic} of a WIM, and of a pipable WIM. */
export const WIM_MAGIC = 'MSWIM\0\0\0'
export const PIPABLE_MAGIC = 'WLPWM\0\0\0'

/** Whether a file that begins with `head` is a WIM, pipable or not. */
export function isWimHead(head: Uint8Array): boolean {
  const magic = Buffer.from(head.subarray(0, WIM_MAGIC.length)).toString('latin1')
  return magic === WIM_MAGIC || magic === PIPABLE_MAGIC
}

/** Reads the header of the file at `path`; for a pipable WIM, the complete one at its end. Throws NOT_A_WIM. */
export async function readHeader(path: string): Promise<WimHeader> {
  const file = await open(path).catch((error: unknown) => {
    throw fileError(error, path)
  })
  try {
    const bytes = Buffer.alloc(HEADER_SIZE)
    const read = async (position: number): Promise<WimHeader> => {
      const { bytesRead } = await file.read(bytes, 0, HEADER_SIZE, position)
      if (bytesRead === HEADER_SIZE) return parseHeader(bytes)
      throw new StowageError('NOT_A_WIM', `${path} is too short for the header of a WIM`)
    }
    const header = await read(0)
    return header.magic === PIPABLE_MAGIC ? await read((await file.stat()).size - HEADER_SIZE) : header
  } finally {
    await file.close()
  }
}

/** Parses {@link HEADER_SIZE} bytes, without validating them. */
export function parseHeader(bytes: Buffer): WimHeader {
  return {
    magic: bytes.toString('latin1', 0, 8),
    headerSize: bytes.readUInt32LE(8),
    version: bytes.readUInt32LE(12),
    flags: bytes.readUInt32LE(16),
    chunkSize: bytes.readUInt32LE(20),
    guid: bytes.toString('hex', 24, 40),
    partNumber: bytes.readUInt16LE(40),
    totalParts: bytes.readUInt16LE(42),
    imageCount: bytes.readUInt32LE(44),
    blobTable: resourceHeader(bytes.subarray(48)),
    xmlData: resourceHeader(bytes.subarray(72)),
    bootMetadata: resourceHeader(bytes.subarray(96)),
    bootIndex: bytes.readUInt32LE(120),
    integrity: resourceHeader(bytes.subarray(124)),
  }
}

function resourceHeader(bytes: Buffer): ResourceHeader {
  return {
    size: Number(bytes.readBigUInt64LE() & 0xffffffffffffffn),
    flags: bytes.readUInt8(7),
    offset: Number(bytes.readBigUInt64LE(8)),
    originalSize: Number(bytes.readBigUInt64LE(16)),
  }
}
