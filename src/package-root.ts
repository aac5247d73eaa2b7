/** Where this package is: a checkout, an installation, or a kit on a stick. The directory has package.json. */
export const PACKAGE_ROOT = new URL('..', import.meta.url)
