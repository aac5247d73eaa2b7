/** Imported first by the library: throws UNSUPPORTED, before anything else can fail, if Node.js is too old. */
import { StowageError } from './errors.js'
import { nodeVersionFault } from './node-version.js'

const fault = nodeVersionFault()
if (fault !== undefined) throw new StowageError('UNSUPPORTED', fault)
