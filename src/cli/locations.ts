/** How locations are written, for help: the transports say it. */
import { formsOf } from '../transport/location.js'

/** Of what images are read from. */
export function sourceForms(): string {
  return formsOf(({ source }) => source)
}

/** Of what images are copied to, each with its name there. */
export function imageForms(): string {
  return formsOf(({ destination }) => destination && { form: destination.imageForm ?? destination.form })
}

/** Of what the images of a bundle are loaded into. */
export function loadForms(): string {
  return formsOf(({ destination }) => (destination?.seals === true ? undefined : destination))
}

/** Of what can take one more image at any time. */
export function additiveForms(): string {
  return formsOf(({ destination }) => (destination?.additive ? destination : undefined))
}

/** Of what keeps images under names; `change`: and can have them changed. */
export function storeForms({ change = false }: { readonly change?: boolean } = {}): string {
  return formsOf(({ store }) => (store && !(change && store.sealed) ? store : undefined))
}

/** What `oci:` means where nothing was named. */
export const DEFAULT_STORE = 'oci: alone is the default store'
export const USED_WITHOUT_ENGINE = `${DEFAULT_STORE}, used if no engine answers`
