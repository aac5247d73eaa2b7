#!/usr/bin/env node
/** The `stowage` command. Says so if Node.js is too old, before it loads anything that such a version cannot parse. */
import { nodeVersionFault } from '../node-version.js'

const fault = nodeVersionFault()
if (fault === undefined) {
  void import('./run.js') // not awaited: the oldest versions cannot parse that
} else {
  process.stderr.write(`stowage: ${fault}\n`)
  process.exitCode = 1
}
