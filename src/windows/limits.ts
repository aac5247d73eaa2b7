/** Limits of NTFS on one file. Sources: MS-FSA 2.1.5.15.6 (links); MS-FSCC 2.4.15 (extended attributes). */

/** Names of one file, the first included: STATUS_TOO_MANY_LINKS. */
export const LINK_LIMIT = 1024
/** Bytes of a file's extended attributes, as NTFS packs them: STATUS_EA_TOO_LARGE. */
export const ATTRIBUTES_LIMIT = 0xffff
/** Bytes of the name of an extended attribute. */
export const ATTRIBUTE_NAME_LIMIT = 254
