/** What a registry says in an answer that refuses. Source: OCI distribution-spec, "Error Codes". */

/** The distribution-spec's errors as words: `: MANIFEST_UNKNOWN, manifest unknown`. */
export function errorText(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: readonly { code?: unknown; message?: unknown }[] }
    const [first] = errors ?? []
    const words = [first?.code, first?.message].filter(word => typeof word === 'string' && word !== '')
    return words.length > 0 ? `: ${words.join(', ').slice(0, 300)}` : ''
  } catch {
    return '' // many say nothing, or say it in HTML
  }
}
