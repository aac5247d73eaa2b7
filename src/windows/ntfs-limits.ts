/** Limits of files on NTFS. Sources: MS-FSA 2.1.5.15.5 and 2.1.5.15.6; MS-FSCC 2.4.15. */

/** Maximum number of names (hard links) of a file. */
export const NAMES_LIMIT = 1024

/** Maximum size of all extended attributes of a file, in bytes: 64 KiB less 5. See {@link attributeSize}. */
export const ATTRIBUTES_LIMIT = 0x10000 - 5

/** Maximum size of the name of an extended attribute, in bytes. */
export const ATTRIBUTE_NAME_LIMIT = 254

/** What an extended attribute counts towards {@link ATTRIBUTES_LIMIT}: its flags, two sizes, and a NUL after the name. */
export function attributeSize(nameSize: number, valueSize: number): number {
  return 5 + nameSize + valueSize
}

/** The first character of `name` that the name of an extended attribute cannot contain. */
export function forbiddenInAttributeName(name: string): string | undefined {
  return /[\u0000-\u001f"*+,/:;<=>?[\\\]|]/.exec(name)?.[0]
}
