/** Single faults of names, paths, order, hard links and streams in a base layer. */
import { directoryEntry as directory, fileEntry as file, linkEntry as link, symlinkEntry } from '../layers.js'
import { add, base, before, CIM, HOST, instead, type Row, withRecords, without } from './row.js'

const SAM = 'Files/Windows/System32/config/SAM'
const BOOT = 'UtilityVM/Files/EFI/Microsoft/Boot'
const { taken, cleaned, linked } = HOST
const { literal, open } = CIM
const stream = (name: string) => ({ name, content: 'stream' })
const junction = withRecords(symlinkEntry('Files/j', 'C:\\Windows'), {
  'MSWINDOWS.fileattr': '1040',
  'MSWINDOWS.mountpoint': '1',
})
const links = (count: number) => Array.from({ length: count }, (_, n) => link(`Files/many${n}`, 'Files/one'))
/** The boot configuration as a link; the file comes first. */
const movedBcd = add(link(`${BOOT}/BCD`, 'UtilityVM/Files/bcd'))

const NAMES: Row[] = [
  base('nothing', entries => entries, taken, CIM.taken),
  base('an absolute path', add(file('/Files/x')), HOST.absolute, open, 'BAD_PATH'),
  base('an absolute path with a backslash', add(file('\\Files\\x')), HOST.absolute, open, 'BAD_PATH', 'BACKSLASH'),
  base('a way out', add(file('../x')), HOST.badName, open, 'BAD_PATH'),
  base('a way out from a directory', add(file('Files/../../x')), HOST.badName, open, 'BAD_PATH'),
  base('the layer itself', before('Files', directory('./')), HOST.cleanedToNothing, literal, 'BAD_PATH'),
  base('a path that begins with "./"', add(file('./Files/x')), cleaned, literal, 'PATH_FORM'),
  base('a path with "." in it', add(file('Files/./x')), cleaned, literal, 'PATH_FORM'),
  base('a path with ".." in it', add(file('Files/Windows/../x')), cleaned, literal, 'PATH_FORM'),
  base('two slashes', add(file('Files//x')), cleaned, literal, 'PATH_FORM'),
  base('a file with a slash at the end', add(file('Files/x/')), cleaned, literal, 'PATH_FORM'),
  base('a backslash for a slash', add(file('Files\\x')), taken, CIM.taken, 'BACKSLASH'),
  base(
    'a backslash below a missing directory',
    add(file('Files/a\\x')),
    HOST.noParent,
    open,
    'BACKSLASH',
    'PARENT_MISSING',
  ),
  base('a directory with a slash at the end', add(directory('Files/x/')), cleaned, literal, 'TRAILING_SLASH'),
  ...['?', '*', '<', '>', '|', '"', '\u0001', '\u001f'].map(character =>
    base(
      `the character ${JSON.stringify(character)}`,
      add(file(`Files/a${character}`)),
      HOST.badName,
      open,
      'INVALID_NAME',
    ),
  ),
  base('a colon', add(file('Files/a:b')), HOST.colon, open, 'STREAM_ORPHAN'),
  base('a drive', add(file('C:/x')), HOST.colon, open, 'STREAM_ORPHAN'),
  base('a dot at the end', add(file('Files/a.')), taken, CIM.taken),
  base('a space at the end', add(file('Files/a ')), taken, CIM.taken),
  base('a device of DOS', add(file('Files/CON')), taken, CIM.taken),
  base('the character U+007F', add(file('Files/a\u007f')), taken, CIM.taken),
  base('a byte order mark', add(file('Files/\ufeffa')), taken, CIM.taken),
  base('a name of 255 units', add(file(`Files/${'n'.repeat(255)}`)), taken, CIM.taken),
  base('a name of 256 units', add(file(`Files/${'n'.repeat(256)}`)), HOST.tooLong, open, 'NAME_TOO_LONG'),
  base('a name of 128 pairs', add(file(`Files/${'\u{1f600}'.repeat(128)}`)), HOST.tooLong, open, 'NAME_TOO_LONG'),
  base('a path of 32,767 units', add(file(`Files/${'a/'.repeat(16_380)}b`)), HOST.tooLong, open, 'NAME_TOO_LONG'),
  base('a path of 33,000 units', add(file(`Files/${'a/'.repeat(16_500)}b`)), HOST.tooLong, open, 'NAME_TOO_LONG'),
  base('a file at the top', add(file('layout')), taken, CIM.taken, 'OUTSIDE'),
  base('Hives', add(directory('Hives')), taken, CIM.taken, 'OUTSIDE'),
  base('a file beside UtilityVM/Files', add(file('UtilityVM/x')), taken, CIM.taken, 'OUTSIDE'),
  base(
    'UtilityVM/files',
    entries => spelled(entries, 'UtilityVM/Files', 'UtilityVM/files'),
    HOST.notSeen,
    CIM.utilityVm,
    'BOOT_SPELLING',
    'ROOT_SPELLING',
    'UTILITY_VM_HIVE',
  ),
  base(
    'utilityVM',
    entries => spelled(entries, 'UtilityVM', 'utilityVM'),
    HOST.notSeen,
    CIM.taken,
    'BOOT_SPELLING',
    'ROOT_SPELLING',
  ),
  base('UtilityVM/Files/', entries => slashed(entries), HOST.notSeen, literal, 'UTILITY_VM_SLASH'),
  base(
    'UtilityVM//Files',
    entries => spelled(entries, 'UtilityVM/Files', 'UtilityVM//Files', true),
    HOST.notSeen,
    literal,
    'PATH_FORM',
    'ROOT_SPELLING',
  ),
  base('a boot file in lower case', add(file(`${BOOT}/bcd.log`)), taken, CIM.taken, 'BOOT_SPELLING'),
]

const SAME: Row[] = [
  base('a file twice', add(file('Files/attributes.txt')), HOST.collision, CIM.twice, 'DUPLICATE'),
  base('a directory twice', add(directory('Files/Windows')), HOST.collision, CIM.twice, 'DUPLICATE'),
  base('a link twice', add(link('Files/Windows/link', 'Files/attributes.txt')), HOST.collision, CIM.twice, 'DUPLICATE'),
  base('two paths to one name', add(file('Files/./attributes.txt')), HOST.collision, open, 'DUPLICATE', 'PATH_FORM'),
  base('ASCII in another case', add(file('Files/Attributes.txt')), HOST.collision, open, 'CASE_COLLISION'),
  base(
    'a directory in another case',
    add(directory('FILES/windows')),
    HOST.collision,
    open,
    'CASE_COLLISION',
    'ROOT_SPELLING',
  ),
  ...[
    ['\u1f80', '\u1f88'],
    ['\u1fb3', '\u1fbc'],
    ['\u00e9', '\u00c9'],
    ['\u0256', '\u0189'],
    ['\u2170', '\u2160'],
  ].map(([a, b]) =>
    base(
      `${a} and ${b}, a pair of NTFS`,
      add(file(`Files/${a}`), file(`Files/${b}`)),
      HOST.collision,
      open,
      'CASE_COLLISION',
    ),
  ),
  ...[
    ['\u10d0', '\u1c90'],
    ['\u017f', 's2'],
    ['\u212a', 'k'],
    ['\u0131', 'I'],
    ['\u00b5', '\u03bc'],
    ['\u03c2', '\u03c3'],
    ['\u01c4', '\u01c5'],
    ['ß', 'ẞ'],
    ['\u{10400}', '\u{10428}'],
    ['e\u0301', '\u00e9'],
  ].map(([a, b]) =>
    base(`${a} and ${b}, no pair of NTFS`, add(file(`Files/${a}`), file(`Files/${b}`)), taken, CIM.taken),
  ),
]

const ORDER: Row[] = [
  base('a missing directory', add(file('Files/none/x')), HOST.noParent, literal, 'PARENT_MISSING'),
  base(
    'a directory after its file',
    add(file('Files/late/x'), directory('Files/late')),
    HOST.noParent,
    open,
    'PARENT_LATE',
  ),
  base('no UtilityVM', without('UtilityVM'), HOST.noParent, literal, 'PARENT_MISSING'),
  base(
    'a file below a file',
    add(file('Files/attributes.txt/x')),
    HOST.parentNoDirectory,
    open,
    'PARENT_NOT_DIRECTORY',
  ),
  base('a file below a link', add(file('Files/symlink/x')), HOST.parentNoDirectory, open, 'PARENT_NOT_DIRECTORY'),
  base('a file below a junction', add(file('Files/junction/x')), HOST.parentNoDirectory, open, 'PARENT_NOT_DIRECTORY'),
  base(
    'a hard link below a junction',
    add(link('Files/junction/x', 'Files/attributes.txt')),
    HOST.parentNoDirectory,
    open,
    'PARENT_NOT_DIRECTORY',
  ),
]

const LINKS: Row[] = [
  base('a link to a file', add(link('Files/h', 'Files/attributes.txt')), linked, CIM.taken),
  base('a link to a link', add(link('Files/h', 'Files/Windows/link')), linked, CIM.taken),
  base('a link to a hive', add(link('Files/h', SAM)), linked, CIM.taken),
  base('a link to a symbolic link', add(link('Files/h', 'Files/symlink')), HOST.targetReparse, open, 'LINK_TO_SYMLINK'),
  base('a link to a junction', add(link('Files/h', 'Files/junction')), HOST.targetReparse, open, 'LINK_TO_SYMLINK'),
  base('a link to a directory', add(link('Files/h', 'Files/Windows')), HOST.targetDirectory, open, 'LINK_TO_DIRECTORY'),
  base('a link to nothing', add(link('Files/h', 'Files/none')), HOST.noTarget, open, 'LINK_TARGET_MISSING'),
  base('a link from below Files', add(link('Files/h', 'attributes.txt')), HOST.noTarget, open, 'LINK_TARGET_MISSING'),
  base(
    'a link before its file',
    add(link('Files/h', 'Files/x'), file('Files/x')),
    HOST.noTarget,
    open,
    'LINK_TARGET_LATE',
  ),
  base('a link to itself', add(link('Files/h', 'Files/h')), HOST.noTarget, open, 'LINK_TARGET_LATE'),
  base('a link to an absolute path', add(link('Files/h', '/Files/attributes.txt')), HOST.absolute, open, 'BAD_PATH'),
  base('a link that leads out', add(link('Files/h', '../attributes.txt')), HOST.badName, open, 'BAD_PATH'),
  base('a link without a target', add(link('Files/h', '')), HOST.cleanedToNothing, open, 'BAD_PATH'),
  base('a link to "./"', add(link('Files/h', './Files/attributes.txt')), cleaned, literal, 'LINK_TARGET_FORM'),
  base('a link through ".."', add(link('Files/h', 'Files/x/../attributes.txt')), cleaned, literal, 'LINK_TARGET_FORM'),
  base('a link with two slashes', add(link('Files/h', 'Files//attributes.txt')), cleaned, literal, 'LINK_TARGET_FORM'),
  base('a link with a backslash', add(link('Files/h', 'Files\\attributes.txt')), cleaned, literal, 'LINK_TARGET_FORM'),
  base(
    'a link with a slash at the end',
    add(link('Files/h', 'Files/attributes.txt/')),
    cleaned,
    literal,
    'LINK_TARGET_FORM',
  ),
  base('a link in another case', add(link('Files/h', 'Files/Attributes.txt')), linked, CIM.case, 'LINK_TARGET_CASE'),
  base('1024 names', add(file('Files/one'), ...links(1023)), linked, CIM.taken),
  base('1025 names', add(file('Files/one'), ...links(1024)), HOST.tooManyNames, open, 'TOO_MANY_LINKS'),
  base(
    '1025 names, through links',
    add(file('Files/one'), ...links(1023), link('Files/h', 'Files/many7')),
    HOST.tooManyNames,
    open,
    'TOO_MANY_LINKS',
  ),
  base(
    'a hive that is a link to a hive',
    instead(SAM, link(SAM, SAM.replace('SAM', 'DEFAULT'))),
    linked,
    CIM.systemLink,
    'LINK_OF_SYSTEM_FILE',
  ),
  base(
    'a hive that is a link to text',
    instead(SAM, link(SAM, 'Files/attributes.txt')),
    HOST.baseImage,
    CIM.systemLink,
    'HIVE_INVALID',
    'LINK_OF_SYSTEM_FILE',
  ),
  base(
    'a BCD that is a link',
    entries => movedBcd(spelled(entries, `${BOOT}/BCD`, 'UtilityVM/Files/bcd')),
    linked,
    CIM.systemLink,
    'LINK_OF_SYSTEM_FILE',
  ),
]

const STREAMS: Row[] = [
  base('a stream', add(file('Files/s'), stream('Files/s:a')), HOST.stream, CIM.stream, 'STREAM_CIM'),
  base(
    'a stream of a directory',
    add(directory('Files/s'), stream('Files/s:a'), file('Files/s/x')),
    HOST.stream,
    CIM.stream,
    'STREAM_CIM',
  ),
  base('a stream of a junction', add(junction, stream('Files/j:a')), HOST.stream, CIM.stream, 'STREAM_CIM'),
  base(
    'a stream with characters that no file has',
    add(file('Files/s'), stream('Files/s:a*b?<>|"')),
    HOST.stream,
    CIM.stream,
    'STREAM_CIM',
  ),
  base(
    'a stream twice',
    add(file('Files/s'), stream('Files/s:a'), stream('Files/s:a')),
    HOST.stream,
    CIM.stream,
    'STREAM_CIM',
    'STREAM_TWICE',
  ),
  base(
    'a stream in another case',
    add(file('Files/s'), stream('Files/s:a'), stream('Files/s:A')),
    HOST.stream,
    CIM.stream,
    'STREAM_CIM',
    'STREAM_TWICE',
  ),
  base(
    'a stream of a link',
    add(link('Files/h', 'Files/attributes.txt'), stream('Files/h:a')),
    HOST.colon,
    open,
    'STREAM_ORPHAN',
  ),
  base('a stream that comes late', add(stream('Files/attributes.txt:a')), HOST.colon, open, 'STREAM_ORPHAN'),
  base(
    'a stream in the case of another owner',
    add(file('Files/s'), stream('Files/S:a')),
    HOST.colon,
    open,
    'STREAM_ORPHAN',
  ),
  base('a stream without a name', add(file('Files/s'), stream('Files/s:')), HOST.streamName, open, 'STREAM_ORPHAN'),
  base('a stream with a slash', add(file('Files/s'), stream('Files/s:a/b')), HOST.streamName, open, 'STREAM_ORPHAN'),
  base(
    'a stream with a colon',
    add(file('Files/s'), stream('Files/s:a:b')),
    HOST.streamName,
    CIM.stream,
    'INVALID_NAME',
    'STREAM_CIM',
  ),
  base(
    'a stream with a backslash',
    add(file('Files/s'), stream('Files/s:a\\b')),
    HOST.streamName,
    CIM.stream,
    'INVALID_NAME',
    'STREAM_CIM',
  ),
  base(
    'a stream name of 256 units',
    add(file('Files/s'), stream(`Files/s:${'a'.repeat(256)}`)),
    HOST.streamName,
    CIM.stream,
    'NAME_TOO_LONG',
    'STREAM_CIM',
  ),
  base(
    'a stream with its type',
    add(file('Files/s'), stream('Files/s:a:$DATA')),
    HOST.streamName,
    open,
    'STREAM_SUFFIX',
  ),
  base(
    'a stream that is a directory',
    add(file('Files/s'), directory('Files/s:a')),
    HOST.colon,
    open,
    'STREAM_NOT_FILE',
  ),
]

const DELETED: Row[] = [
  base('a deleted file', add({ name: 'Files/.wh.x' }), HOST.tombstone, open, 'TOMBSTONE'),
  base('a deleted directory', add({ name: 'Files/.wh.x', flag: '5' }), HOST.tombstone, open, 'TOMBSTONE'),
  base('an opaque directory', add({ name: 'Files/.wh..wh..opq' }), HOST.tombstone, open, 'TOMBSTONE'),
  base('a name that begins like a deletion', add(file('Files/.whx')), taken, CIM.taken),
  base('a backslash before a deletion', add(file('Files\\.wh.x')), taken, CIM.taken, 'BACKSLASH'),
]

export const NAME_FAULTS: readonly Row[] = [...NAMES, ...SAME, ...ORDER, ...LINKS, ...STREAMS, ...DELETED]

type Entries = Parameters<Parameters<typeof base>[1]>[0]

/** Spells the beginning of names otherwise; `once` for the entry of that name only. */
function spelled(entries: Entries, from: string, to: string, once = false): Entries {
  return entries.map(entry => {
    const own = entry.name === from || (!once && entry.name.startsWith(`${from}/`))
    return own ? { ...entry, name: to + entry.name.slice(from.length) } : entry
  })
}

function slashed(entries: Entries): Entries {
  return entries.map(entry => (entry.name === 'UtilityVM/Files' ? { ...entry, name: 'UtilityVM/Files/' } : entry))
}
