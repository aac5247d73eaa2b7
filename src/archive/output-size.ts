/** How large an output will be when it is complete. */

export interface OutputSize {
  readonly form: 'directory' | 'tar' | 'volumes'
  /** Of all its files together, and of the largest, in bytes. */
  readonly size: number
  readonly largest: number
  readonly files: number
  /**
   * `exact`: to the byte. `estimate`: an engine or a WIM does not tell its size before it is exported. `at most`: it is
   * compressed as a whole. `at least`: more is added whose size is not known at all.
   */
  readonly certainty: 'exact' | 'estimate' | 'at most' | 'at least'
  /** How many volumes, and the bytes of each but the last. */
  readonly volumes?: { readonly count: number; readonly size: number }
  /** Bytes of recovery data, which are in `size`. */
  readonly recovery?: number
}
