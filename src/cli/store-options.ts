/** Options and output that the commands on image stores share. */
import { HOST_OPTION } from './image-options.js'
import { storeForms, USED_WITHOUT_ENGINE } from './locations.js'
import { value } from './command.js'
import type { StowageError } from '../errors.js'
import { familiarReference, isReference, parseReference } from '../oci/reference.js'
import type { Removal } from '../image/image-store.js'
import { isFallback } from '../transport/usual-store.js'
import { reportFailures } from './print-error.js'
import type { Session } from './session.js'

/** The options --store and --host; `forms` says which stores the command accepts. */
export function storeOptions(forms = storeForms()) {
  return {
    store: value(`${forms}; ${USED_WITHOUT_ENGINE}`, { takes: 'store' }),
    host: HOST_OPTION,
  } as const
}

/** Tells the user if no store was named and no engine answered, so that the default store is used. */
export function noteStore(requested: string | undefined, store: string, { note }: Session): void {
  if (isFallback(requested, store)) note(`no Docker Engine answers: using ${store}`)
}

/** `Untagged: shop:2.3` or `Deleted: sha256:…`, as docker prints it. */
export function removalLine(removal: Removal): string {
  return 'untagged' in removal ? `Untagged: ${familiar(removal.untagged)}\n` : `Deleted: ${removal.deleted}\n`
}

/** A full name as `docker images` shows it. A name from the index of a layout is left as it is. */
export function familiar(name: string): string {
  return /[/:@]/.test(name) && isReference(name) ? familiarReference(parseReference(name)) : name
}

/** Calls {@link reportFailures}, adding the name of the image to each message that does not contain it. */
export function reportImageFailures(
  images: readonly { readonly name: string; readonly error?: StowageError | undefined }[],
): void {
  reportFailures(images, ({ name }, { message }) => (message.includes(name) ? undefined : name))
}
