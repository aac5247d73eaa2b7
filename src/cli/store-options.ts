/** What the commands over a place that keeps images have in common. */
import { HOST_OPTION } from './image-options.js'
import { storeForms, USED_WITHOUT_ENGINE } from './locations.js'
import { value } from './command.js'
import type { StowageError } from '../errors.js'
import { familiarReference, isReference, parseReference } from '../oci/reference.js'
import type { Removal } from '../image/image-store.js'
import { isFallback } from '../transport/usual-store.js'
import { tellFailures } from './print-error.js'
import type { Session } from './session.js'

/** Of a command that can use stores which are written as `forms`. */
export function storeOptions(forms = storeForms()) {
  return {
    store: value(`${forms}; ${USED_WITHOUT_ENGINE}`),
    host: HOST_OPTION,
  } as const
}

/** Says so where nobody named the place, and no engine answered. */
export function noteStore(asked: string | undefined, store: string, { note }: Session): void {
  if (isFallback(asked, store)) note(`no Docker Engine answers: using ${store}`)
}

/** `Untagged: shop:2.3` and `Deleted: sha256:…`, as docker says it. */
export function removalLine(removal: Removal): string {
  return 'untagged' in removal ? `Untagged: ${familiar(removal.untagged)}\n` : `Deleted: ${removal.deleted}\n`
}

/** A full name as `docker images` shows it; what a layout's index says stays as it is. */
export function familiar(name: string): string {
  return /[/:@]/.test(name) && isReference(name) ? familiarReference(parseReference(name)) : name
}

/** {@link tellFailures} of images as they were named, where the message does not say which. */
export function failWith(
  images: readonly { readonly name: string; readonly error?: StowageError | undefined }[],
): void {
  tellFailures(images, ({ name }, { message }) => (message.includes(name) ? undefined : name))
}
