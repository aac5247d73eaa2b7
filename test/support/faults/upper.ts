/** Single faults that only an upper layer can have, and what it may do that a base layer may not. */
import { directoryEntry, fileEntry, linkEntry, symlinkEntry, windowsRecords } from '../layers.js'
import { add, CIM, HOST, type Row, upper, withRecords, without } from './row.js'

const { open, literal } = CIM

const FILES: Row[] = [
  upper('nothing', entries => entries, HOST.upper, CIM.taken),
  upper('a file twice', add(fileEntry('Files/d/a')), HOST.collision, CIM.twice, 'DUPLICATE'),
  upper('a missing directory', add(fileEntry('Files/none/x')), HOST.noParent, open, 'PARENT_MISSING'),
  upper('a file at the top', add(fileEntry('x')), HOST.upper, open, 'OUTSIDE'),
  upper(
    'a temporary directory',
    add(withRecords(directoryEntry('Files/t'), { 'MSWINDOWS.fileattr': '272' })),
    HOST.basicInfo,
    open,
    'TEMPORARY_DIRECTORY',
  ),
]

const UTILITY_VM: Row[] = [
  upper('files without UtilityVM', without('UtilityVM'), HOST.upperNoUtilityVm, open, 'PARENT_MISSING'),
  upper(
    'UtilityVM that only a deletion makes',
    entries => [
      directoryEntry('Files'),
      { name: 'UtilityVM/Files/.wh.x' },
      ...entries.filter(({ name }) => name.startsWith('UtilityVM/')),
    ],
    HOST.upperRemoved,
    open,
  ),
  upper(
    'a file beside UtilityVM/Files',
    add(fileEntry('UtilityVM/x')),
    HOST.upperUtilityVm,
    open,
    'UTILITY_VM_OUTSIDE',
  ),
  upper(
    'UtilityVM with a descriptor',
    entries => entries.map(entry => (entry.name === 'UtilityVM' ? directoryEntry('UtilityVM') : entry)),
    HOST.upperClosed,
    open,
    'UTILITY_VM_RECORDS',
  ),
  upper(
    'UtilityVM twice, with a descriptor',
    add(directoryEntry('UtilityVM')),
    HOST.upperClosed,
    open,
    'UTILITY_VM_RECORDS',
  ),
  upper(
    'UtilityVM twice, with an extended attribute',
    add({ name: 'UtilityVM', flag: '5', records: { 'MSWINDOWS.xattr.A': 'QUJD' } }),
    HOST.upperClosed,
    open,
    'UTILITY_VM_RECORDS',
  ),
  upper(
    'UtilityVM as a file',
    add({ name: 'UtilityVM', records: { ...windowsRecords(32), 'MSWINDOWS.rawsd': '' } }),
    HOST.upperClosed,
    open,
    'UTILITY_VM_RECORDS',
  ),
  upper(
    'UtilityVM without SOFTWARE',
    without('UtilityVM/Files/Windows/System32/config/SOFTWARE'),
    HOST.upper,
    CIM.utilityVm,
    'UTILITY_VM_HIVE',
  ),
  upper('a file whose directory the layer below may have', add(fileEntry('UtilityVM/Files/EFI/x')), HOST.upper, open),
  upper(
    'a directory of the utility VM after its file',
    add(fileEntry('UtilityVM/Files/e/x'), directoryEntry('UtilityVM/Files/e')),
    HOST.upper,
    open,
  ),
  upper(
    'a file of the utility VM twice',
    add(fileEntry('UtilityVM/Files/f')),
    HOST.upperReplaced,
    CIM.twice,
    'DUPLICATE_REPLACED',
  ),
  upper(
    'an opaque directory in UtilityVM/Files',
    add({ name: 'UtilityVM/Files/.wh..wh..opq' }),
    HOST.upperOpaque,
    open,
    'OPAQUE_UTILITY_VM',
  ),
]

const LINKS: Row[] = [
  upper('a link to a file below', add(linkEntry('Files/h', 'Files/below')), HOST.upperLinked, open),
  upper('a link to a file of the layer', add(linkEntry('Files/h', 'Files/d/a')), HOST.upperLinked, CIM.taken),
  upper(
    'a link to a file of the utility VM',
    add(linkEntry('UtilityVM/Files/h', 'UtilityVM/Files/F')),
    HOST.upperLinked,
    CIM.case,
    'LINK_TARGET_CASE',
  ),
  upper(
    'a link with backslashes',
    add(linkEntry('Files/h', 'Files\\d\\a')),
    HOST.upperLinked,
    literal,
    'LINK_TARGET_FORM',
  ),
  upper(
    'a link over a file',
    add(linkEntry('Files/d/a', 'Files/below')),
    HOST.upperReplaced,
    CIM.twice,
    'DUPLICATE_REPLACED',
  ),
  upper(
    'a link in another case',
    add(linkEntry('Files/h', 'Files/d/A')),
    HOST.upperTarget,
    CIM.case,
    'LINK_TARGET_SPELLING',
  ),
  upper(
    'a link before its file',
    add(linkEntry('Files/h', 'Files/x'), fileEntry('Files/x')),
    HOST.upperTarget,
    open,
    'LINK_TARGET_LATE',
  ),
  upper('a link in Hives', add(linkEntry('Hives/h', 'Files/d/a')), HOST.upperLink, open, 'LINK_OUTSIDE'),
  upper('a link to Hives', add(linkEntry('Files/h', 'Hives/System_Delta')), HOST.upperLink, open, 'LINK_OUTSIDE'),
  upper('a link to files', add(linkEntry('Files/h', 'files/d/a')), HOST.upperLink, open, 'LINK_OUTSIDE'),
  upper('a link at the top', add(linkEntry('h', 'Files/d/a')), HOST.upperLink, open, 'LINK_OUTSIDE', 'OUTSIDE'),
  upper(
    'a link to a symbolic link',
    add(symlinkEntry('Files/s', 'd'), linkEntry('Files/h', 'Files/s')),
    HOST.targetReparse,
    open,
    'LINK_TO_SYMLINK',
  ),
]

const DELETED: Row[] = [
  upper('a deleted file', add({ name: 'Files/d/.wh.gone' }), HOST.upperRemoved, CIM.taken),
  upper('a deleted file of the utility VM', add({ name: 'UtilityVM/Files/.wh.gone' }), HOST.upperRemoved, CIM.taken),
  upper('a deleted file whose name holds ".wh."', add({ name: 'Files/d/.wh.a.wh.b' }), HOST.upperRemoved, CIM.taken),
  upper('a deletion in Hives', add({ name: 'Hives/.wh.Sam_Delta' }), HOST.upperTombstone, open, 'TOMBSTONE_PLACE'),
  upper('a deletion at the top', add({ name: '.wh.x' }), HOST.upperTombstone, open, 'TOMBSTONE_PLACE'),
  upper('a deletion of Files', add({ name: '.wh.Files' }), HOST.upperTombstone, open, 'TOMBSTONE_PLACE'),
  upper(
    'a deletion of UtilityVM/Files',
    add({ name: 'UtilityVM/.wh.Files' }),
    HOST.upperTombstone,
    open,
    'TOMBSTONE_PLACE',
  ),
  upper('a deletion of nothing', add({ name: 'Files/.wh.' }), HOST.upperTombstone, open, 'TOMBSTONE_PLACE'),
  upper('a deletion in files', add({ name: 'files/.wh.x' }), HOST.upperTombstone, open, 'TOMBSTONE_PLACE'),
  upper(
    'a deletion with an absolute path',
    add({ name: '/Files/.wh.x' }),
    HOST.upperTombstone,
    open,
    'TOMBSTONE_PLACE',
  ),
  upper('an opaque directory', add({ name: 'Files/d/.wh..wh..opq' }), HOST.upperRemoved, open, 'OPAQUE'),
  upper('a file, then its deletion', add({ name: 'Files/d/.wh.a' }), HOST.upperGone, open, 'DELETED_HERE'),
  upper(
    'a deletion, then its file',
    add({ name: 'Files/d/.wh.b' }, fileEntry('Files/d/b')),
    HOST.upperGone,
    open,
    'DELETED_HERE',
  ),
  upper('a deletion in another case', add({ name: 'Files/d/.wh.A' }), HOST.upperGone, open, 'DELETED_HERE'),
  upper(
    'a deletion and a symbolic link',
    add({ name: 'Files/.wh.s' }, symlinkEntry('Files/s', 'd')),
    HOST.upperGone,
    open,
    'DELETED_HERE',
  ),
  upper(
    'a deletion and a hard link',
    add({ name: 'Files/.wh.h' }, linkEntry('Files/h', 'Files/d/a')),
    HOST.upperLinked,
    open,
  ),
  upper('a deletion and a directory', add({ name: 'Files/.wh.d' }), HOST.upperTimes, open, 'DELETED_NEEDED'),
  upper(
    'a deletion and a directory link',
    add({ name: 'Files/.wh.s' }, withRecords(symlinkEntry('Files/s', 'd'), { 'MSWINDOWS.fileattr': '1040' })),
    HOST.upperTimes,
    open,
    'DELETED_NEEDED',
  ),
  upper(
    'a link to a deleted file',
    add(linkEntry('Files/h', 'Files/d/a'), { name: 'Files/d/.wh.a' }),
    HOST.upperLinkGone,
    open,
    'DELETED_HERE',
    'DELETED_NEEDED',
  ),
  upper('a file of the utility VM and its deletion', add({ name: 'UtilityVM/Files/.wh.f' }), HOST.upperRemoved, open),
]

export const UPPER_FAULTS: readonly Row[] = [...FILES, ...UTILITY_VM, ...LINKS, ...DELETED]
