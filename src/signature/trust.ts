/** What must be true of a bundle before its content is used: who signed it, and that it is not older than another. */
import type { Requirement } from './check.js'
import type { KnownRelease } from './release.js'

export interface Trust {
  /** Each of them must be met; with none, signatures are reported but not checked. */
  readonly requirements: readonly Requirement[]
  /** Files of signatures besides those in the bundle and beside it. */
  readonly signatures?: readonly string[] | undefined
  /** The bundle must not be older than any of these. */
  readonly notOlderThan?: readonly KnownRelease[] | undefined
}
