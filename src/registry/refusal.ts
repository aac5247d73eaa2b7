/** Reads the error in a registry's response. Source: OCI distribution-spec, "Error Codes". */

/** The first error, for the end of a message: `: MANIFEST_UNKNOWN, manifest unknown`. Empty if there is none. */
export function errorText(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: readonly { code?: unknown; message?: unknown }[] }
    const [first] = errors ?? []
    const words = [first?.code, first?.message].filter(word => typeof word === 'string' && word !== '')
    return words.length > 0 ? `: ${words.join(', ').slice(0, 300)}` : ''
  } catch {
    return '' // many responses are empty, or HTML
  }
}
