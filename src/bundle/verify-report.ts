/** What verifying a bundle has found. */
import type { Digest } from '../oci/digest.js'
import type { SignatureReport } from '../signature/check.js'
import { comparePaths } from './checksums.js'
import type { BundleAssumption } from './delta.js'
import type { Finding } from './graph.js'
import type { LayerProofs } from './layer-comparison.js'
import type { BundleImage } from './manifest.js'
import { NO_SIGNATURES } from './signatures.js'
import type { CheckedVolumes } from './verify-volumes.js'

export interface VerifyReport {
  readonly path: string
  /** There are no findings. */
  readonly ok: boolean
  /** Number of files whose content was read; `size` is their total size in bytes. */
  readonly files: number
  readonly size: number
  /** The size of the bundle's own file in bytes, if it is one and not a stream. */
  readonly archiveSize?: number
  /** The SHA-256 of bundle.json, if that was read: it stands for the whole bundle. */
  readonly digest?: Digest
  /** The images in bundle.json; empty if it cannot be read. */
  readonly images: readonly BundleImage[]
  /** Sorted by path, then by code. */
  readonly findings: readonly Finding[]
  /** Whether layers were decompressed and compared with what the configs of the images say of them. */
  readonly deep: boolean
  readonly layers: LayerProofs
  /** Its signatures, and whether they are by those whom `trust` names. */
  readonly signatures: SignatureReport
  /** What a delta leaves out. Whether it is at the destination, only the destination can tell. */
  readonly assumes?: BundleAssumption
  /** Whether the check ended early, at 10,000 findings; otherwise left out. */
  readonly stopped?: true
  /** Set if some volumes are missing or wrong, so that nothing was read, or if they were checked alone. */
  readonly volumes?: CheckedVolumes
}

/** What a report says if no content was read. */
export const NOTHING_PROVED = {
  images: [],
  deep: false,
  layers: { proved: 0, unproved: [] },
  signatures: NO_SIGNATURES,
} as const

/** The report with what was found of its signatures. */
export function withSignatures(
  report: VerifyReport,
  { signatures, findings }: { readonly signatures: SignatureReport; readonly findings: readonly Finding[] },
): VerifyReport {
  const all = sortedFindings([...report.findings, ...findings])
  return { ...report, ok: all.length === 0, signatures, findings: all }
}

/** By path, then by code. */
export function sortedFindings(findings: readonly Finding[]): readonly Finding[] {
  return findings.toSorted((a, b) => comparePaths(a.path, b.path) || comparePaths(a.code, b.code))
}
