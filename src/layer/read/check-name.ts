/** Checks the rules of {@link LAYER_RULES} that concern the name of a single entry and the target of its link. */
import { PATH_LIMIT } from '../../windows/layer-paths.js'
import type { Report } from './check-rules.js'
import type { HostPath } from './host-path.js'
import type { LayerTarEntry } from './tar-entry.js'

const NAME_LIMIT = 255
/** MAXIMUM_REPARSE_DATA_BUFFER_SIZE: with the header of the buffer. */
const REPARSE_LIMIT = 16 * 1024

/** Checks that Windows allows the path, which {@link hostPath} read, and the target of a symbolic link. */
export function checkName(entry: LayerTarEntry, { names, flaw, simplified }: HostPath, report: Report): void {
  const { path, utf8, type } = entry
  if (flaw !== undefined) report('BAD_PATH', path, flaw)
  else if (simplified !== undefined) report('PATH_FORM', path, simplified)
  if (path.includes('\\')) report('BACKSLASH', path, 'it contains a backslash')
  if (!utf8) report('NOT_UTF8', path, 'its name or target is not UTF-8')
  const wrong = /[\u0000-\u001f"*<>?|]/.exec(path)?.[0]
  if (wrong !== undefined) report('INVALID_NAME', path, `it contains the character ${JSON.stringify(wrong)}`)
  checkLength(path, names, report)
  if (path.endsWith('/') && names.length > 0) {
    if (type !== 'directory') report('PATH_FORM', path, `a ${type} that ends in a slash`)
    else if (names.join('/') === 'UtilityVM/Files') report('UTILITY_VM_SLASH', path, 'it ends in a slash')
    else report('TRAILING_SLASH', path, 'it ends in a slash')
  }
  if (type === 'symlink') checkTarget(entry, report)
}

function checkLength(path: string, names: readonly string[], report: Report): void {
  if (path.length <= NAME_LIMIT) return
  const long = names.find(name => name.length > NAME_LIMIT)
  const size = names.join('/').length
  if (long !== undefined) report('NAME_TOO_LONG', path, `a name of ${long.length} characters`)
  else if (size > PATH_LIMIT) report('NAME_TOO_LONG', path, `a path of ${size} characters`)
}

/** Checks the name of an alternate stream, which may contain more characters than that of a file. */
export function checkStreamName({ path, utf8 }: LayerTarEntry, name: string, report: Report): void {
  const wrong = /[\\:]/.exec(name)?.[0]
  if (wrong !== undefined) report('INVALID_NAME', path, `it contains the character ${JSON.stringify(wrong)}`)
  if (!utf8) report('NOT_UTF8', path, 'its name is not UTF-8')
  if (name.length > NAME_LIMIT) report('NAME_TOO_LONG', path, `a name of ${name.length} characters`)
}

function checkTarget({ path, linkname, records }: LayerTarEntry, report: Report): void {
  if (linkname === '') report('EMPTY_TARGET', path, 'its target is empty')
  else if (reparseSize(linkname, records.has('MSWINDOWS.mountpoint')) > REPARSE_LIMIT)
    report('LONG_TARGET', path, `a target of ${linkname.length} characters`)
}

/** Size of the buffer that go-winio makes: a header, the target for the kernel and the target itself, both with a NUL. */
function reparseSize(target: string, mountPoint: boolean): number {
  const kernel = target.length + (/^[A-Za-z]:/.test(target) ? 4 : /^[\\/]{2}(?!\?[\\/])/.test(target) ? 6 : 0)
  return (mountPoint ? 16 : 20) + 2 * (kernel + 1) + 2 * (target.length + 1)
}
