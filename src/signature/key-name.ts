/** How keys, and whom a certificate names, are called in file names and in text. */

const SHORT_ID = 16

/** The key id as file names and text have it: its first 16 digits. */
export function shortKeyId(id: string): string {
  return id.slice(0, SHORT_ID)
}

/** A key id or an identity as text has it. */
export function shortName(by: string): string {
  return /^[0-9a-f]{64}$/.test(by) ? `key ${shortKeyId(by)}` : by
}
