/** What describes images — signatures, SBOMs, provenance — and to which image each belongs. */
import type { InspectedArtifact, InspectedImage } from '../image/inspection.js'
import { parseReference } from '../oci/reference.js'
import { parseReferrerTag } from '../oci/referrer-tag.js'

export interface Attached {
  readonly artifact: InspectedArtifact
  /** The digest of what it describes. */
  readonly about: string | undefined
}

export interface Grouped {
  /** Images that stand by themselves, each with what describes it or its manifests. */
  readonly images: readonly { readonly image: InspectedImage; readonly attached: readonly Attached[] }[]
  /** How many describe an image. */
  readonly attached: number
}

/** Puts images that only describe another one of the list with that one. */
export function grouped(images: readonly InspectedImage[]): Grouped {
  const owners = new Map<string, InspectedImage>()
  const own = (image: InspectedImage, owner: InspectedImage): void => {
    const { root, platforms, others } = image
    for (const manifest of [root, ...platforms.map(each => each.manifest), ...others.map(each => each.manifest)])
      if (manifest && !owners.has(manifest.digest)) owners.set(manifest.digest, owner)
  }
  // What describes an image comes after it
  const subjects = new Map<InspectedImage, string>()
  for (const image of images) {
    const subject = subjectOfImage(image)
    const owner = subject === undefined ? undefined : owners.get(subject)
    if (subject !== undefined && owner) subjects.set(image, subject)
    own(image, owner ?? image)
  }
  const attached = new Map<InspectedImage, Attached[]>()
  for (const [image, subject] of subjects) {
    const owner = owners.get(subject)
    if (!owner) continue
    const list = attached.get(owner) ?? []
    attached.set(owner, [...list, ...image.others.map(artifact => ({ artifact, about: artifact.about ?? subject }))])
  }
  return {
    images: images
      .filter(image => !subjects.has(image))
      .map(image => ({
        image,
        attached: [
          ...image.others.map(artifact => ({ artifact, about: artifact.about })),
          ...(attached.get(image) ?? []),
        ],
      })),
    attached: subjects.size,
  }
}

const PREDICATES: readonly (readonly [RegExp, string])[] = [
  [/^https?:\/\/spdx\.dev\//, 'SBOM (SPDX)'],
  [/^https?:\/\/cyclonedx\.org\//, 'SBOM (CycloneDX)'],
  [/^https?:\/\/slsa\.dev\/provenance/, 'build provenance (SLSA)'],
  [/^https?:\/\/cosign\.sigstore\.dev\/attestation/, 'attestation (cosign)'],
]

const TYPES: readonly (readonly [RegExp, string])[] = [
  [/^application\/vnd\.cncf\.notary\.signature/, 'signature (Notation)'],
  [/^application\/vnd\.dev\.cosign\.artifact\.sig/, 'signature (cosign)'],
  [/^application\/vnd\.dev\.sigstore\.bundle/, 'signature or attestation (Sigstore)'],
  [/spdx/, 'SBOM (SPDX)'],
  [/cyclonedx/, 'SBOM (CycloneDX)'],
  [/^application\/vnd\.in-toto/, 'attestation (in-toto)'],
  [/^application\/vnd\.cncf\.helm/, 'Helm chart'],
]

/** What it is, in words, as far as its types say. */
export function kindOf({ type, manifest, predicateTypes = [] }: InspectedArtifact): string {
  const named = predicateTypes.map(predicate => PREDICATES.find(([known]) => known.test(predicate))?.[1])
  const words = [...new Set(named.filter(word => word !== undefined))]
  if (words.length > 0) return words.join(', ')
  const known = TYPES.find(([pattern]) => pattern.test(manifest.artifactType ?? manifest.mediaType))?.[1]
  if (known) return known
  return type === 'attestation' ? 'attestation' : type === 'artifact' ? 'artifact' : 'other content'
}

/** The manifest that an image without a platform describes, by its `subject` or by cosign's tag. */
function subjectOfImage({ root, platforms, names }: InspectedImage): string | undefined {
  if (platforms.length > 0) return undefined
  if (root?.subject) return root.subject.digest
  return names.map(name => parseReferrerTag(parseReference(name).tag ?? '')).find(found => found?.cosign)?.subject
}
