/** File attributes and reparse tags of Windows. Source: MS-FSCC 2.6 and 2.1.2.1. */

export const FILE_ATTRIBUTE_DIRECTORY = 0x10
export const FILE_ATTRIBUTE_TEMPORARY = 0x100
export const FILE_ATTRIBUTE_REPARSE_POINT = 0x400
export const FILE_ATTRIBUTE_ENCRYPTED = 0x4000

export const IO_REPARSE_TAG_SYMLINK = 0xa000000c
export const IO_REPARSE_TAG_MOUNT_POINT = 0xa0000003
