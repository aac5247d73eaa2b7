/** Paths of a Windows layer that mean something to Windows. Source: hcsshim's documented behaviour. */

/** The name of the image that becomes `UtilityVM/Files`, and of its directory. */
export const UTILITY_VM = 'UtilityVM'

/** Where the registry of an image is, from the root of its files. */
export const CONFIG = 'Windows/System32/config'
/** Where the boot configuration of an image is, from the root of its files. */
export const BOOT = 'EFI/Microsoft/Boot'

/** The hives of a base layer: a host makes its own from them, and refuses a layer without them. */
export const HIVES = ['SYSTEM', 'SOFTWARE', 'SAM', 'SECURITY', 'DEFAULT'].map(hive => `Files/${CONFIG}/${hive}`)
/** The boot configuration of a utility VM, without which a host refuses a layer that has one. */
export const BOOT_CONFIGURATION = `${UTILITY_VM}/Files/${BOOT}/BCD`

/** Longest path that Windows knows, in UTF-16 units. */
export const PATH_LIMIT = 32_767
