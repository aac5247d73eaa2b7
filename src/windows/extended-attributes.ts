/**
 * Reads and writes extended attributes in the format of a WIM. Source: wimlib's documentation of tagged metadata item
 * 2.
 */
import { StowageError } from '../errors.js'
import { ATTRIBUTE_NAME_LIMIT, ATTRIBUTES_LIMIT, attributeSize, forbiddenInAttributeName } from './ntfs-limits.js'

export interface ExtendedAttribute {
  readonly name: string
  readonly value: Buffer
  /** Bit 0x80 (FILE_NEED_EA): a program must understand the attribute to use the file. */
  readonly flags: number
}

/** An extended attribute whose name may be any bytes. */
export interface PackableAttribute {
  readonly name: Buffer
  readonly flags: number
  readonly value: Buffer
}

/**
 * Parses a sequence of `{ u16 value size, u8 name size, u8 flags, name, NUL, value }`. Undefined if it is truncated.
 */
export function unpackAttributes(bytes: Buffer): PackableAttribute[] | undefined {
  const attributes: PackableAttribute[] = []
  for (let at = 0; at + 4 <= bytes.length;) {
    const valueSize = bytes.readUInt16LE(at)
    const nameSize = bytes.readUInt8(at + 2)
    const flags = bytes.readUInt8(at + 3)
    const end = at + 4 + nameSize + 1 + valueSize
    if (end > bytes.length) return undefined
    const name = bytes.subarray(at + 4, at + 4 + nameSize)
    if (nameSize > 0 || valueSize > 0) attributes.push({ name, flags, value: bytes.subarray(end - valueSize, end) })
    at = end
  }
  return attributes
}

/** Parses the extended attributes of a file of Linux, whose names are UTF-8. Throws WIM_CORRUPT, LAYER_UNSUPPORTED. */
export function parseUnixAttributes(bytes: Buffer, path: string): ExtendedAttribute[] {
  const attributes = unpackAttributes(bytes)
  if (!attributes) throw truncatedAttributes(path)
  return attributes
    .filter(({ name }) => name.length > 0)
    .map(({ name: bytesOfName, ...rest }) => {
      const name = bytesOfName.toString()
      if (!/[=\0]/.test(name)) return { name, ...rest }
      throw new StowageError(
        'LAYER_UNSUPPORTED',
        `${path}: a tar cannot hold the extended attribute ${JSON.stringify(name)}`,
      )
    })
}

export function truncatedAttributes(path: string): StowageError {
  return new StowageError('WIM_CORRUPT', `${path}: its extended attributes are truncated`)
}

/** Describes why NTFS does not accept an extended attribute of this name; undefined if it does. */
export function attributeNameFlaw(name: Buffer): string | undefined {
  if (name.length === 0) return 'an extended attribute without a name'
  const text = name.toString('latin1')
  const shown = JSON.stringify(text.slice(0, 60))
  if (name.length > ATTRIBUTE_NAME_LIMIT)
    return `the name of the extended attribute ${shown} has ${name.length} bytes; NTFS allows ${ATTRIBUTE_NAME_LIMIT}`
  const wrong = forbiddenInAttributeName(text)
  return wrong === undefined
    ? undefined
    : `NTFS does not allow ${JSON.stringify(wrong)} in the name of the extended attribute ${shown}`
}

/** Describes why NTFS does not accept these as the extended attributes of one file; undefined if it does. */
export function attributesFlaw(attributes: readonly PackableAttribute[]): string | undefined {
  const names = new Set<string>()
  let size = 0
  for (const { name, value } of attributes) {
    const flaw = attributeNameFlaw(name)
    if (flaw !== undefined) return flaw
    if (attributes.length > 1) {
      const key = name.toString('latin1').replace(/[a-z]+/g, letters => letters.toUpperCase())
      if (names.has(key)) return `two extended attributes are named ${JSON.stringify(key)}, regardless of case`
      names.add(key)
    }
    size += attributeSize(name.length, value.length)
  }
  return size > ATTRIBUTES_LIMIT ? `${size} bytes of extended attributes; NTFS allows ${ATTRIBUTES_LIMIT}` : undefined
}

/**
 * A sequence of `{ u16 value size, u8 name size, u8 flags, name, NUL, value }`. Throws LAYER_UNSUPPORTED if one does
 * not fit.
 */
export function packAttributes(attributes: readonly PackableAttribute[], path: string): Buffer {
  return Buffer.concat(
    attributes.flatMap(({ name, flags, value }) => {
      if (name.length === 0 || name.length > 0xff || value.length > 0xffff) {
        throw new StowageError(
          'LAYER_UNSUPPORTED',
          `${path}: a WIM cannot hold its extended attribute ${JSON.stringify(name.toString().slice(0, 60))}`,
          {
            hint: 'A name has 1 to 255 bytes and a value at most 65535.',
          },
        )
      }
      const head = Buffer.alloc(4)
      head.writeUInt16LE(value.length, 0)
      head.writeUInt8(name.length, 2)
      head.writeUInt8(flags, 3)
      return [head, name, Buffer.alloc(1), value]
    }),
  )
}
