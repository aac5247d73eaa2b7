/**
 * Reads and writes extended attributes in the format of a WIM. Source: wimlib's documentation of tagged metadata item
 * 2.
 */
import { StowageError } from '../errors.js'

export interface ExtendedAttribute {
  readonly name: string
  readonly value: Buffer
  /** Bit 0x80 (FILE_NEED_EA): a program must understand the attribute to use the file. */
  readonly flags: number
}

/**
 * Parses a sequence of `{ u16 value size, u8 name size, u8 flags, name, NUL, value }`. An attribute without a value is
 * omitted, because it means "delete" to Windows. With `unix`, it is kept, and names are UTF-8. Throws WIM_CORRUPT, and
 * LAYER_UNSUPPORTED for a name that PAX cannot hold.
 */
export function parseExtendedAttributes(bytes: Buffer, path: string, unix = false): ExtendedAttribute[] {
  const attributes: ExtendedAttribute[] = []
  let at = 0
  while (at + 4 <= bytes.length) {
    const valueSize = bytes.readUInt16LE(at)
    const nameSize = bytes.readUInt8(at + 2)
    const flags = bytes.readUInt8(at + 3)
    const end = at + 4 + nameSize + 1 + valueSize
    if (end > bytes.length) throw new StowageError('WIM_CORRUPT', `${path}: its extended attributes are truncated`)
    const name = bytes.toString(unix ? 'utf8' : 'latin1', at + 4, at + 4 + nameSize)
    if (/[=\0]/.test(name)) {
      throw new StowageError(
        'LAYER_UNSUPPORTED',
        `${path}: a tar cannot hold the extended attribute ${JSON.stringify(name)}`,
      )
    }
    if (nameSize > 0 && (valueSize > 0 || unix))
      attributes.push({ name, flags, value: bytes.subarray(end - valueSize, end) })
    at = end
  }
  return attributes
}

export interface PackableAttribute {
  readonly name: Buffer
  readonly flags: number
  readonly value: Buffer
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
