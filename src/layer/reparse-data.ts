/** Reparse data of links, from their targets. Sources: MS-FSCC 2.1.2.4 and 2.1.2.5; go-winio's documented behaviour. */

/** Nothing of it can be longer: MAXIMUM_REPARSE_DATA_BUFFER_SIZE less the header. */
export const REPARSE_DATA_LIMIT = 16 * 1024 - 8

const RELATIVE = 1

/**
 * The reparse data (the buffer without its 8-byte header, as a WIM holds it) of a link to `target`: with backslashes or
 * slashes, as Windows shows it. A target on a drive, a share or with `\\?\` is absolute; every other is relative, which only
 * a symbolic link can be. The substitute name stands first; a junction's names end in NUL.
 */
export function encodeReparseData(target: string, mountPoint: boolean): Buffer {
  const print = target.replaceAll('/', '\\')
  const absolute = absoluteName(print)
  const substitute = absolute ?? print
  return pack(substitute, print, {
    symlinkFlags: mountPoint ? undefined : absolute === undefined ? RELATIVE : 0,
    terminated: mountPoint,
  })
}

/** As wimlib stores a symbolic link of POSIX: what begins with `/` becomes a path on drive C. */
export function encodePosixLink(target: string): Buffer {
  const print = target.replaceAll('/', '\\')
  const absolute = print.startsWith('\\')
  const shown = absolute ? `C:${print}` : print
  return pack(absolute ? `\\??\\${shown}` : shown, shown, { symlinkFlags: absolute ? 0 : RELATIVE, terminated: true })
}

/** The name for the NT kernel, or undefined for a relative target. */
function absoluteName(print: string): string | undefined {
  if (print.startsWith('\\\\?\\')) return `\\??\\${print.slice(4)}`
  if (print.startsWith('\\??\\')) return print
  if (print.startsWith('\\\\')) return `\\??\\UNC\\${print.slice(2)}`
  return /^.:/u.test(print) ? `\\??\\${print}` : undefined
}

function pack(
  substitute: string,
  print: string,
  { symlinkFlags, terminated }: { readonly symlinkFlags: number | undefined; readonly terminated: boolean },
): Buffer {
  const end = terminated ? '\0' : ''
  const first = Buffer.from(substitute + end, 'utf16le')
  const second = Buffer.from(print + end, 'utf16le')
  const head = Buffer.alloc(symlinkFlags === undefined ? 8 : 12)
  head.writeUInt16LE(2 * substitute.length, 2)
  head.writeUInt16LE(first.length, 4)
  head.writeUInt16LE(2 * print.length, 6)
  if (symlinkFlags !== undefined) head.writeUInt32LE(symlinkFlags, 8)
  return Buffer.concat([head, first, second])
}
