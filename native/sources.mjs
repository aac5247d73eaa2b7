// Lists the C++ sources of native/, one a line, for binding.gyp and the fuzz scripts:
// node native/sources.mjs OS [ROOM…]. OS is gyp's: linux, mac or win; without a room, all of the addon.
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const native = dirname(fileURLToPath(import.meta.url))
const [os = 'linux', ...wanted] = process.argv.slice(2)
const rooms = wanted.length > 0 ? wanted : ['.', 'base', 'codecs', 'wim', 'layer', 'recovery', 'medium', 'transfer']

/** What uses POSIX sockets and file descriptors. */
const POSIX = /^native\/(?:transfer\/|(?:blob_send|blob_write|content_hash)_job\.cc$)/

for (const room of rooms)
  for (const name of readdirSync(join(native, room)).sort()) {
    const path = room === '.' ? `native/${name}` : `native/${room}/${name}`
    if (path.endsWith('.cc') && !(os === 'win' && POSIX.test(path))) console.log(path)
  }
