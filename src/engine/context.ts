/** Reads docker's contexts: the files in which `docker context` stores addresses and TLS files. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, StowageError, systemCode } from '../errors.js'
import { isObject, parseJsonText, textIn } from '../oci/json.js'

/** PEM files for a TLS connection. Missing ones are replaced by the defaults of the system. */
export interface TlsFiles {
  readonly ca?: Uint8Array
  readonly cert?: Uint8Array
  readonly key?: Uint8Array
  /** Whether to verify the engine's certificate. */
  readonly verify: boolean
}

/** The context that `config.json` in docker's configuration directory names, if any. */
export async function currentContext(config: string): Promise<string | undefined> {
  const path = join(config, 'config.json')
  const bytes = await readIfThere(path)
  return bytes && textIn(parseFile(bytes, path), 'currentContext')
}

/**
 * Address and TLS files of the context `name`. Throws INVALID_ARGUMENT if it does not exist or does not name an engine.
 */
export async function readContext(config: string, name: string): Promise<{ host: string; tls: TlsFiles | undefined }> {
  const id = createHash('sha256').update(name).digest('hex')
  const path = join(config, 'contexts', 'meta', id, 'meta.json')
  const bytes = await readIfThere(path)
  if (!bytes) {
    throw new StowageError('INVALID_ARGUMENT', `docker has no context ${JSON.stringify(name)}`, {
      hint: 'See `docker context ls`, or name the engine with --host.',
    })
  }
  const endpoints = parseFile(bytes, path)['Endpoints']
  const docker = isObject(endpoints) ? endpoints['docker'] : undefined
  const host = isObject(docker) ? textIn(docker, 'Host') : undefined
  if (!isObject(docker) || !host) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `the context ${JSON.stringify(name)} does not name a Docker Engine (${path})`,
      {
        hint: 'Name the engine with --host.',
      },
    )
  }
  const verify = docker['SkipTLSVerify'] !== true
  const tls = await readTlsFiles(join(config, 'contexts', 'tls', id, 'docker'), verify)
  return { host, tls: tls.ca || tls.cert || !verify ? tls : undefined }
}

/** `ca.pem`, `cert.pem` and `key.pem` of `directory`, each if it exists. */
export async function readTlsFiles(directory: string, verify: boolean): Promise<TlsFiles> {
  const names = ['ca.pem', 'cert.pem', 'key.pem']
  const [ca, cert, key] = await Promise.all(names.map(name => readIfThere(join(directory, name))))
  return { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}), verify }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw fileError(error, path)
  }
}

function parseFile(bytes: Uint8Array, path: string): Readonly<Record<string, unknown>> {
  const value = parseJsonText(new TextDecoder().decode(bytes))
  if (isObject(value)) return value
  throw new StowageError('INVALID_ARGUMENT', `${path} is not a JSON object`, {
    hint: 'Correct the file, or name the engine with --host.',
  })
}
