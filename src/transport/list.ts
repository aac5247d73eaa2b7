/** The list of all transports. */
import { dockerArchive, ociArchive } from './archive/transport.js'
import { bundle } from './bundle/transport.js'
import { directory } from './directory/transport.js'
import { engine } from './engine/transport.js'
import { oci } from './oci/transport.js'
import { registry } from './registry/transport.js'
import type { Transport } from './transport.js'
import { wim } from './wim/transport.js'

const TRANSPORTS: Transport[] = [registry, engine, oci, ociArchive, dockerArchive, directory, bundle, wim]

export function transports(): readonly Transport[] {
  return TRANSPORTS
}

/** Adds a transport; disposing the result removes it again. */
export function registerTransport(transport: Transport): Disposable {
  TRANSPORTS.push(transport)
  return { [Symbol.dispose]: () => void TRANSPORTS.splice(TRANSPORTS.indexOf(transport), 1) }
}
