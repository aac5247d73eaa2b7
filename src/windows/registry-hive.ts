/**
 * Checks whether a file begins like a hive of the Windows registry. Source: libyal's documentation of the REGF format.
 */

/** Number of bytes at the start of a file that {@link hiveFlaw} requires. */
export const HIVE_HEAD = 512
/** Size of the base block and the first hive bin. */
const SMALLEST = 4096 + 4096

/** Describes why a file of `size` bytes that begins with `head` is not a hive; undefined if it may be one. */
export function hiveFlaw(head: Buffer, size: number): string | undefined {
  if (size < SMALLEST || head.length < HIVE_HEAD) return `it has ${size} bytes, fewer than the smallest hive`
  if (head.toString('latin1', 0, 4) !== 'regf') return 'it does not begin with "regf"'
  let sum = 0
  for (let at = 0; at < 508; at += 4) sum ^= head.readUInt32LE(at)
  const expected = sum === 0 ? 1 : sum === -1 ? 0xfffffffe : sum >>> 0
  const found = head.readUInt32LE(508)
  return found === expected
    ? undefined
    : `the checksum of its base block is 0x${found.toString(16)}, expected 0x${expected.toString(16)}`
}
