/** Which versions of Node.js Stowage runs on. Uses no syntax and no module that an older one lacks. */

/** What is wrong with `version`, which is the running one by default, as a sentence; undefined if nothing is. */
export function nodeVersionFault(version: string = process.versions.node): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if ((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22) return undefined
  return `Stowage needs Node.js 20.19 or later, or 22.12 or later; this is ${version}`
}
