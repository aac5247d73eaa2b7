/** Paths in a Windows layer that have a meaning to Windows. Source: hcsshim's documented behavior. */

/** The name of the WIM image that becomes `UtilityVM/Files`, and of that directory. */
export const UTILITY_VM = 'UtilityVM'

/** The directory of an image's registry, relative to the root of its files. */
export const CONFIG = 'Windows/System32/config'
/** The directory of an image's boot configuration, relative to the root of its files. */
export const BOOT = 'EFI/Microsoft/Boot'

/** The registry hives of a base layer. A host creates its own from them, and rejects a layer without them. */
export const HIVES = ['SYSTEM', 'SOFTWARE', 'SAM', 'SECURITY', 'DEFAULT'].map(hive => `Files/${CONFIG}/${hive}`)
/** File names in `Hives` of a layer based on others, in upper case, and the hives that they change. */
export const DELTA_HIVES: ReadonlyMap<string, string> = new Map([
  ['SYSTEM_DELTA', 'SYSTEM'],
  ['SOFTWARE_DELTA', 'SOFTWARE'],
  ['SAM_DELTA', 'SAM'],
  ['SECURITY_DELTA', 'SECURITY'],
  ['DEFAULTUSER_DELTA', 'DEFAULT'],
])
/** The boot configuration of a utility VM. A host rejects a layer that has a utility VM without it. */
export const BOOT_CONFIGURATION = `${UTILITY_VM}/Files/${BOOT}/BCD`

/** Maximum length of a path in a layer, in UTF-16 code units: 32,767 on Windows, where the importer counts a NUL at its end. */
export const PATH_LIMIT = 32_766
