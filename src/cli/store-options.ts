/** What the commands over a place that keeps images have in common. */
import type { Argv } from 'yargs'
import type { StowageError } from '../errors.js'
import { familiarReference, isReference, parseReference } from '../oci/reference.js'
import type { Removal } from '../image/image-store.js'
import { isFallback } from '../transport/usual-store.js'
import { tellFailures } from './print-error.js'
import { type GlobalOptions, once, type Session } from './session.js'

export interface StoreCliOptions extends GlobalOptions {
  readonly store: string | undefined
  readonly host: string | undefined
}

export function storeOptions<T>(
  yargs: Argv<T>,
  kinds = 'docker-daemon:, oci:DIR, bundle:PATH',
): Argv<T & StoreCliOptions> {
  return yargs
    .option('store', {
      type: 'string',
      requiresArg: true,
      coerce: once('store'),
      describe: `${kinds}, or oci: for the default store (used if no engine answers)`,
    })
    .option('host', {
      alias: 'H',
      type: 'string',
      requiresArg: true,
      coerce: once('host'),
      describe: 'Docker Engine (DOCKER_HOST)',
    }) as unknown as Argv<T & StoreCliOptions> // yargs does not type coerce
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
