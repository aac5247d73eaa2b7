/** What the checks of a layer remember of each path. */
import type { TarEntryType } from './tar-entry.js'

/** A path in the layer. */
export interface Node {
  readonly path: string
  /** What the importer makes of the entry. For a hard link, the type of the file. */
  readonly type: TarEntryType
  /** Whether it has the attribute of directories, as links to them have too. */
  readonly directory: boolean
  /** Whether it may be a registry hive. */
  readonly hive: boolean
  /** For a hard link, the node of the file, if it is in the layer. */
  readonly link: { readonly file: Node | undefined } | undefined
  /** How many names the file has so far. */
  names: number
}
