/** Single faults of types, records, links' targets and required files in a base layer. */
import { emptyHive } from '../../../fixtures/make/hive.js'
import { directoryEntry, fileEntry, type MadeEntry, symlinkEntry, windowsRecords } from '../layers.js'
import { add, base, CIM, HOST, instead, type Row, type Verdict, withRecords, without } from './row.js'
import type { LayerRule } from '../../../src/layer/read/check-rules.js'

const SAM = 'Files/Windows/System32/config/SAM'
const BCD = 'UtilityVM/Files/EFI/Microsoft/Boot/BCD'
const SOFTWARE = 'UtilityVM/Files/Windows/System32/config/SOFTWARE'
const { taken } = HOST
const { open } = CIM
const DESCRIPTOR = windowsRecords(0)['MSWINDOWS.rawsd'] ?? ''

type Records = Readonly<Record<string, string | undefined>>

function made(entry: MadeEntry) {
  return (name: string, records: Records, ordinary: Verdict, cim: Verdict, ...finds: LayerRule[]): Row =>
    base(name, add(withRecords(entry, records)), ordinary, cim, ...finds)
}
const file = made(fileEntry('Files/x'))
const directory = made(directoryEntry('Files/x'))
const symlink = made(symlinkEntry('Files/x', 'Windows'))
const attributes = (value: string | undefined): Records => ({ 'MSWINDOWS.fileattr': value })
const rawsd = (value: string | undefined): Records => ({ 'MSWINDOWS.rawsd': value })
const sddl = (value: string): Records => ({ 'MSWINDOWS.rawsd': undefined, 'MSWINDOWS.sd': value })
const creation = (value: string): Records => ({ 'LIBARCHIVE.creationtime': value })
const xattr = (name: string, value: string): Records => ({ [`MSWINDOWS.xattr.${name}`]: value })
const zeros = (size: number): string => Buffer.alloc(size).toString('base64')
/** The descriptor after `change`, which changes the bytes or returns others. */
const descriptor = (change: (bytes: Buffer) => unknown): Records => {
  const bytes = Buffer.from(DESCRIPTOR, 'base64')
  const changed = change(bytes)
  return rawsd((Buffer.isBuffer(changed) ? changed : bytes).toString('base64'))
}

const ATTRIBUTES: Row[] = [
  file('no attributes', attributes(undefined), taken, CIM.taken, 'NO_ATTRIBUTES'),
  file('attributes in hexadecimal', attributes('0x20'), HOST.attributes, HOST.attributes, 'BAD_ATTRIBUTES'),
  file('attributes of 33 bits', attributes('4294967296'), HOST.attributes, HOST.attributes, 'BAD_ATTRIBUTES'),
  file('attributes with a sign', attributes('+32'), HOST.attributes, HOST.attributes, 'BAD_ATTRIBUTES'),
  file('attributes with a space', attributes(' 32'), HOST.attributes, HOST.attributes, 'BAD_ATTRIBUTES'),
  file('empty attributes', attributes(''), HOST.attributes, HOST.attributes, 'BAD_ATTRIBUTES'),
  file('attributes with many zeros', attributes('0000000000032'), HOST.attributed, CIM.taken),
  file('attributes of zero', attributes('0'), HOST.attributed, CIM.taken),
  file('the attribute of a device', attributes('64'), HOST.attributed, CIM.taken),
  file('the attribute of nothing else, and another', attributes('160'), HOST.attributed, CIM.taken),
  file('a file with the attribute of directories', attributes('16'), HOST.dataOfDirectory, open, 'DIRECTORY_ATTRIBUTE'),
  file('a file with the attribute of links', attributes('1056'), taken, CIM.taken, 'REPARSE_ATTRIBUTE'),
  file('an encrypted file', attributes('16416'), taken, CIM.taken, 'ENCRYPTED'),
  file('an offline file', attributes('4128'), taken, CIM.taken, 'OFFLINE'),
  file('a temporary file', attributes('288'), taken, CIM.taken),
  directory(
    'a directory without records',
    Object.fromEntries(Object.keys(windowsRecords(0)).map(key => [key, undefined])),
    taken,
    CIM.taken,
    'NO_SECURITY',
    'NO_TIME',
  ),
  directory('a directory without its attribute', attributes('32'), taken, CIM.taken, 'DIRECTORY_AS_FILE'),
  directory('a directory that encrypts new files', attributes('16400'), taken, CIM.taken),
  directory('a temporary directory', attributes('272'), HOST.basicInfo, open, 'TEMPORARY_DIRECTORY'),
  symlink('a temporary directory link', attributes('1296'), HOST.basicInfo, open, 'TEMPORARY_DIRECTORY'),
  symlink('a temporary file link', attributes('1280'), taken, CIM.taken),
  symlink('a link without its attribute', attributes('32'), taken, CIM.taken, 'REPARSE_ATTRIBUTE'),
  base(
    'a file below a directory without its attribute',
    add(withRecords(directoryEntry('Files/x'), attributes('32')), fileEntry('Files/x/y')),
    HOST.parentNoDirectory,
    open,
    'DIRECTORY_AS_FILE',
    'PARENT_NOT_DIRECTORY',
  ),
]

const TARGETS: Row[] = [
  symlink('a directory link', attributes('1040'), taken, CIM.taken),
  symlink('a junction', { ...attributes('1040'), 'MSWINDOWS.mountpoint': '1' }, taken, CIM.taken),
  symlink(
    'a junction with the attributes of a file',
    { 'MSWINDOWS.mountpoint': '1' },
    HOST.junction,
    open,
    'JUNCTION_NOT_DIRECTORY',
  ),
  symlink(
    'a junction without attributes',
    { ...attributes(undefined), 'MSWINDOWS.mountpoint': '1' },
    HOST.junction,
    open,
    'JUNCTION_NOT_DIRECTORY',
    'NO_ATTRIBUTES',
  ),
  file('a file that is a mount point', { 'MSWINDOWS.mountpoint': '1' }, taken, CIM.taken, 'MOUNT_POINT'),
  directory('a directory that is a mount point', { 'MSWINDOWS.mountpoint': '1' }, taken, CIM.taken, 'MOUNT_POINT'),
  base('a link to nowhere', add(symlinkEntry('Files/x', '')), HOST.reparse, open, 'EMPTY_TARGET'),
  ...(
    [
      ['x', 4090],
      ['C:\\', 4085],
      ['\\\\server\\', 4078],
      ['\\\\?\\C:\\', 4083],
    ] as const
  ).flatMap(([start, rest]) => [
    base(
      `a target ${start}… of 16,384 bytes`,
      add(symlinkEntry('Files/x', start.padEnd(start.length === 1 ? rest : start.length + rest, 'x'))),
      HOST.reparsed,
      CIM.taken,
    ),
    base(
      `a target ${start}… of 16,388 bytes`,
      add(symlinkEntry('Files/x', start.padEnd(start.length === 1 ? rest + 1 : start.length + rest + 1, 'x'))),
      HOST.reparse,
      open,
      'LONG_TARGET',
    ),
  ]),
  base('a Unix target', add(symlinkEntry('Files/x', '/usr/lib')), taken, CIM.taken),
  base('a target with a colon', add(symlinkEntry('Files/x', 'a:b')), taken, CIM.taken),
  base('a fifo', add({ ...fileEntry('Files/x', ''), flag: '6' }), taken, CIM.taken, 'NOT_A_WINDOWS_FILE'),
  base('a character device', add({ ...fileEntry('Files/x', ''), flag: '3' }), taken, CIM.taken, 'NOT_A_WINDOWS_FILE'),
  base('a block device', add({ ...fileEntry('Files/x', ''), flag: '4' }), taken, CIM.taken, 'NOT_A_WINDOWS_FILE'),
]

const SECURITY: Row[] = [
  file('no descriptor', rawsd(undefined), taken, CIM.taken, 'NO_SECURITY'),
  file('an empty descriptor', rawsd(''), HOST.described, CIM.taken, 'NO_SECURITY'),
  file('a descriptor with a line end', rawsd(`${DESCRIPTOR}\n`), HOST.described, CIM.taken),
  file('a descriptor without padding', rawsd(zeros(40).replace(/=+$/, '')), HOST.base64, HOST.base64, 'BAD_SECURITY'),
  file('a descriptor in base64 of URLs', rawsd('____'), HOST.base64, HOST.base64, 'BAD_SECURITY'),
  file(
    'a descriptor cut short',
    descriptor(bytes => bytes.subarray(0, -4)),
    HOST.descriptor,
    open,
    'BAD_SECURITY',
  ),
  file('a descriptor of zeros', rawsd(zeros(40)), HOST.descriptor, open, 'BAD_SECURITY'),
  file(
    'an absolute descriptor',
    descriptor(bytes => bytes.writeUInt16LE(4, 2)),
    HOST.descriptor,
    open,
    'BAD_SECURITY',
  ),
  file(
    'an owner outside',
    descriptor(bytes => bytes.writeUInt32LE(9999, 4)),
    HOST.descriptor,
    open,
    'BAD_SECURITY',
  ),
  file(
    'a descriptor without an owner',
    descriptor(bytes => bytes.writeUInt32LE(0, 4)),
    HOST.described,
    CIM.taken,
  ),
  file(
    'SDDL',
    sddl('O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;;0x1200a9;;;S-1-5-32-545)S:(ML;;NW;;;LW)'),
    HOST.described,
    CIM.taken,
  ),
  file(
    'SDDL with a condition',
    sddl('D:(XA;;FX;;;WD;(@User.Title=="PM" && (@User.Level >= 3)))'),
    HOST.described,
    CIM.taken,
  ),
  file('SDDL in lower case', sddl('o:ba'), HOST.described, CIM.taken),
  file('SDDL beside a descriptor', { 'MSWINDOWS.sd': 'x' }, HOST.described, CIM.taken),
  ...[
    'hello',
    'O:',
    'O:BAO:BA',
    'O:nobody',
    'D:(A;;FA;;;SY',
    'D:(A;;FA;;SY)',
    'D:(Q;;FA;;;SY)',
    'D:X(A;;FA;;;SY)',
    'D:(A;ZZ;FA;;;SY)',
    'D:(A;;QQ;;;SY)',
    'S:(A;;FA;;;)',
  ].map(text => file(`SDDL that is none: ${text}`, sddl(text), HOST.sddl, HOST.sddl, 'BAD_SDDL')),
]

const TIMES: Row[] = [
  file('no access time', { atime: undefined }, taken, CIM.taken, 'NO_TIME'),
  file('no creation time', { 'LIBARCHIVE.creationtime': undefined }, taken, CIM.taken, 'NO_TIME'),
  file('an empty access time', { atime: '' }, HOST.timed, CIM.taken),
  file('an empty creation time', creation(''), HOST.creation, HOST.creation, 'BAD_TIME'),
  ...[
    '1,5',
    '1e9',
    'yesterday',
    '.5',
    '-',
    '1.5.5',
    '1.x',
    ' 1',
    '0x10',
    '9223372036854775808',
    '-9223372036854775809',
    '1'.repeat(20),
  ].flatMap(text => [
    file(`the time ${text}`, { atime: text }, HOST.time, HOST.time, 'BAD_TIME'),
    file(`the creation time ${text}`, creation(text), HOST.creation, HOST.creation, 'BAD_TIME'),
  ]),
  ...['+1464264000', '1464264000.', '-1.5', '0', `${'0'.repeat(30)}1`, '1.123456789123'].map(text =>
    file(`the time ${text}`, { ctime: text, ...creation(text) }, HOST.timed, CIM.taken),
  ),
  ...['-11644473600', '9223372036854775807', '9300000000'].map(text =>
    file(`the time ${text}`, { mtime: text }, HOST.timed, CIM.taken, 'TIME_RANGE'),
  ),
  base(
    'a bad creation time of a hard link, which no importer reads',
    add({ name: 'Files/x', flag: '1', linkname: 'Files/attributes.txt', records: { 'LIBARCHIVE.creationtime': 'x' } }),
    HOST.linked,
    CIM.taken,
  ),
  base(
    'a bad access time of a hard link',
    add({ name: 'Files/x', flag: '1', linkname: 'Files/attributes.txt', records: { atime: 'x' } }),
    HOST.time,
    HOST.time,
    'BAD_TIME',
  ),
]

const EXTENDED: Row[] = [
  file('an extended attribute', xattr('A', zeros(3)), HOST.attributePassed, CIM.taken),
  file(
    'an extended attribute as text',
    xattr('A', 'plain text'),
    HOST.attributeValue,
    HOST.attributeValue,
    'BAD_ATTRIBUTE_VALUE',
  ),
  file(
    'an extended attribute of 64 KiB',
    xattr('A', zeros(65536)),
    HOST.attributeValue,
    HOST.attributeValue,
    'BAD_ATTRIBUTE_VALUE',
  ),
  file(
    'an extended attribute with a name of 256',
    xattr('A'.repeat(256), zeros(3)),
    HOST.attributeValue,
    HOST.attributeValue,
    'BAD_ATTRIBUTE_VALUE',
  ),
  file('an extended attribute without a value', xattr('A', ''), HOST.attributePassed, CIM.taken, 'EMPTY_ATTRIBUTE'),
  file(
    'an extended attribute without a name',
    xattr('', zeros(3)),
    HOST.attributePassed,
    CIM.taken,
    'ATTRIBUTE_NO_NAME',
  ),
  file(
    'two that differ in case',
    { ...xattr('A', zeros(3)), ...xattr('a', zeros(3)) },
    HOST.attributePassed,
    CIM.taken,
  ),
  file('a name that is not ASCII', xattr('é', zeros(3)), HOST.attributePassed, CIM.taken),
  file('65,531 bytes in all', xattr('A', zeros(65525)), HOST.attributePassed, CIM.taken),
  file('65,532 bytes in all', xattr('A', zeros(65526)), HOST.attributeRules, open, 'ATTRIBUTES_TOO_LARGE'),
  file(
    'two of 60,000 bytes',
    { ...xattr('A', zeros(60_000)), ...xattr('B', zeros(60_000)) },
    HOST.attributeRules,
    open,
    'ATTRIBUTES_TOO_LARGE',
  ),
  ...['"', '*', '+', ',', '/', ':', ';', '<', '>', '?', '[', '\\', ']', '|', '\u0001'].map(character =>
    file(
      `an extended attribute with ${JSON.stringify(character)}`,
      xattr(`a${character}b`, zeros(3)),
      HOST.attributeRules,
      open,
      'ATTRIBUTE_NAME',
    ),
  ),
  symlink(
    'an extended attribute of a link',
    xattr('A', zeros(3)),
    HOST.attributePassed,
    CIM.taken,
    'ATTRIBUTE_OF_LINK',
  ),
  base(
    'a bad extended attribute of a hard link, which no importer reads',
    add({ name: 'Files/x', flag: '1', linkname: 'Files/attributes.txt', records: { 'MSWINDOWS.xattr.A': '?' } }),
    HOST.linked,
    CIM.taken,
  ),
]

const REQUIRED: Row[] = [
  base(
    'a layer of Linux',
    () => [{ name: 'etc', flag: '5' }, { name: 'etc/passwd' }],
    HOST.baseImage,
    open,
    'NOT_WINDOWS',
  ),
  base(
    'no Files',
    entries => entries.filter(({ name }) => name.startsWith('UtilityVM')),
    HOST.baseImage,
    open,
    'FILES_MISSING',
  ),
  base('Files that is a file', () => [fileEntry('Files')], HOST.baseImage, open, 'FILES_MISSING'),
  base('Files that is a link', () => [symlinkEntry('Files', 'x')], HOST.baseImage, open, 'FILES_MISSING'),
  base('no SAM', without(SAM), HOST.baseImage, open, 'HIVE_MISSING'),
  base('a SAM of text', instead(SAM, fileEntry(SAM, 'x'.repeat(9000))), HOST.baseImage, open, 'HIVE_INVALID'),
  base('an empty SAM', instead(SAM, fileEntry(SAM, '')), HOST.baseImage, open, 'HIVE_INVALID'),
  base('a SAM that is a link', instead(SAM, symlinkEntry(SAM, 'DEFAULT')), HOST.baseImage, open, 'HIVE_NOT_FILE'),
  base('a SAM that is a directory', instead(SAM, directoryEntry(SAM)), HOST.baseImage, open, 'HIVE_NOT_FILE'),
  base('a BCD that is a symbolic link', instead(BCD, symlinkEntry(BCD, 'x')), HOST.utilityImage, open, 'HIVE_NOT_FILE'),
  base('no BCD', without(BCD), HOST.utilityImage, open, 'BCD_MISSING'),
  base('a BCD of text', instead(BCD, fileEntry(BCD, 'x'.repeat(9000))), HOST.utilityImage, open, 'HIVE_INVALID'),
  base(
    'nothing of a utility VM',
    entries => entries.filter(({ name }) => !name.startsWith('UtilityVM')),
    taken,
    CIM.taken,
    'UTILITY_VM_MISSING',
  ),
  base(
    'UtilityVM that is a link',
    entries => [...entries.filter(({ name }) => !name.startsWith('UtilityVM')), symlinkEntry('UtilityVM', 'x')],
    taken,
    CIM.utilityVm,
    'UTILITY_VM_HIVE',
    'UTILITY_VM_MISSING',
  ),
  base(
    'UtilityVM/Files that is a link',
    entries => [...entries.filter(({ name }) => !/^UtilityVM\/./.test(name)), symlinkEntry('UtilityVM/Files', 'x')],
    HOST.utilityImage,
    open,
    'UTILITY_VM_HIVE',
    'UTILITY_VM_LINK',
  ),
  base('no SOFTWARE in UtilityVM', without(SOFTWARE), taken, CIM.utilityVm, 'UTILITY_VM_HIVE'),
  base(
    'SOFTWARE of UtilityVM in lower case',
    instead(SOFTWARE, fileEntry(SOFTWARE.replace('SOFTWARE', 'software'), emptyHive('software'))),
    taken,
    CIM.utilityVm,
    'UTILITY_VM_HIVE',
  ),
]

export const RECORD_FAULTS: readonly Row[] = [
  ...ATTRIBUTES,
  ...TARGETS,
  ...SECURITY,
  ...TIMES,
  ...EXTENDED,
  ...REQUIRED,
]
