/** The name and version of this package, recorded in what it writes. */
import { readFileSync } from 'node:fs'
import { parseJson, record, string } from './oci/json.js'
import { PACKAGE_ROOT } from './package-root.js'

export interface Generator {
  readonly name: string
  readonly version: string
}

/** Reads the package.json that this module was installed with. */
export function thisGenerator(): Generator {
  const where = 'package.json'
  const object = record(parseJson(readFileSync(new URL('package.json', PACKAGE_ROOT)), where), where)
  return { name: string(object, 'name', where), version: string(object, 'version', where) }
}
