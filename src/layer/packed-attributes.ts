/** Extended attributes, packed as a WIM has them. Source: wimlib's documentation of the tagged metadata item 2. */
import { StowageError } from '../errors.js'

export interface PackableAttribute {
  readonly name: Buffer
  readonly flags: number
  readonly value: Buffer
}

/** `{ u16 value size, u8 name size, u8 flags, name, NUL, value }` one after another. Throws LAYER_UNSUPPORTED for what does not fit. */
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

/** The bytes of a record in base64. Throws LAYER_CORRUPT. */
export function unpackBase64(text: string, key: string, path: string): Buffer {
  if (/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0) return Buffer.from(text, 'base64')
  throw new StowageError('LAYER_CORRUPT', `${path}: its record ${key} is no base64`)
}
