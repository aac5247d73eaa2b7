/** Checks self-relative security descriptors. Source: MS-DTYP 2.4.2 (SID), 2.4.4 (ACE), 2.4.5 (ACL), 2.4.6. */

const SELF_RELATIVE = 0x8000
const DACL_PRESENT = 0x4
const SACL_PRESENT = 0x10
const HEADER = 20
const MAX_SUB_AUTHORITIES = 15

/** Describes why `bytes` are not a valid self-relative SECURITY_DESCRIPTOR; undefined if they are. */
export function securityDescriptorFlaw(bytes: Buffer): string | undefined {
  if (bytes.length < HEADER) return `it has ${bytes.length} bytes, fewer than its header`
  if (bytes.readUInt8(0) !== 1) return `its revision is ${bytes.readUInt8(0)}, not 1`
  const control = bytes.readUInt16LE(2)
  if ((control & SELF_RELATIVE) === 0) return 'it is not self-relative'
  const [owner, group, sacl, dacl] = [4, 8, 12, 16].map(offset => bytes.readUInt32LE(offset)) as [
    number,
    number,
    number,
    number,
  ]
  return (
    sidFlaw(bytes, owner, 'owner') ??
    sidFlaw(bytes, group, 'group') ??
    ((control & SACL_PRESENT) === 0 ? undefined : aclFlaw(bytes, sacl, 'SACL')) ??
    ((control & DACL_PRESENT) === 0 ? undefined : aclFlaw(bytes, dacl, 'DACL'))
  )
}

/** An `offset` of 0 means that there is no SID. */
function sidFlaw(bytes: Buffer, offset: number, name: string): string | undefined {
  if (offset === 0) return undefined
  if (offset < HEADER || offset + 8 > bytes.length) return `its ${name} is outside`
  const count = bytes.readUInt8(offset + 1)
  if (bytes.readUInt8(offset) !== 1 || count > MAX_SUB_AUTHORITIES) return `its ${name} is not a SID`
  return offset + 8 + 4 * count > bytes.length ? `its ${name} is cut short` : undefined
}

function aclFlaw(bytes: Buffer, offset: number, name: string): string | undefined {
  if (offset === 0) return undefined
  if (offset < HEADER || offset + 8 > bytes.length) return `its ${name} is outside`
  const [revision, size, count] = [
    bytes.readUInt8(offset),
    bytes.readUInt16LE(offset + 2),
    bytes.readUInt16LE(offset + 4),
  ]
  if (revision < 2 || revision > 4) return `its ${name} has revision ${revision}`
  const end = offset + size
  if (size < 8 || end > bytes.length) return `its ${name} is cut short`
  let at = offset + 8
  for (let n = 0; n < count; n += 1) {
    const entry = at + 4 > end ? 0 : bytes.readUInt16LE(at + 2)
    if (entry < 4 || entry % 4 !== 0 || at + entry > end) return `entry ${n + 1} of its ${name} is cut short`
    at += entry
  }
  return undefined
}
