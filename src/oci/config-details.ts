/**
 * What an image config says about how the image runs and was built. Sources: OCI image-spec, config.md; Docker's image
 * format.
 */
import { type JsonObject, parseJson, record } from './json.js'

/** Fields that do not match their spec are left out instead of rejected: nothing depends on them. */
export interface ConfigDetails {
  /** RFC 3339. */
  readonly created?: string
  readonly author?: string
  readonly user?: string
  readonly workingDir?: string
  readonly stopSignal?: string
  readonly env: readonly string[]
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  /** For example `80/tcp`. */
  readonly exposedPorts: readonly string[]
  readonly volumes: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly history: readonly HistoryEntry[]
}

export interface HistoryEntry {
  readonly created?: string
  readonly createdBy?: string
  readonly comment?: string
  /** The step created no layer. */
  readonly emptyLayer: boolean
}

/** Throws INVALID_MANIFEST if `bytes` is not a JSON object. */
export function parseConfigDetails(bytes: Uint8Array, where: string): ConfigDetails {
  return configDetails(record(parseJson(bytes, where), where), 'config')
}

/** Reads an object that has its settings under the key `settings`: `config` in image configs, `Config` from engines. */
export function configDetails(object: JsonObject, settings: string): ConfigDetails {
  const inner = objectIn(object, settings)
  return {
    ...texts(object, { created: 'created', author: 'author' }),
    ...texts(object, { created: 'Created', author: 'Author' }),
    ...texts(inner, { user: 'User', workingDir: 'WorkingDir', stopSignal: 'StopSignal' }),
    env: list(inner['Env']),
    entrypoint: list(inner['Entrypoint']),
    cmd: list(inner['Cmd']),
    exposedPorts: Object.keys(objectIn(inner, 'ExposedPorts')).sort(),
    volumes: Object.keys(objectIn(inner, 'Volumes')).sort(),
    labels: Object.fromEntries(
      Object.entries(objectIn(inner, 'Labels')).flatMap(([name, value]) =>
        typeof value === 'string' ? [[name, value]] : [],
      ),
    ),
    history: (Array.isArray(object['history']) ? object['history'] : []).map(item => {
      const entry = objectIn({ item }, 'item')
      return {
        ...texts(entry, { created: 'created', createdBy: 'created_by', comment: 'comment' }),
        emptyLayer: entry['empty_layer'] === true,
      }
    }),
  }
}

/** The fields that are non-empty strings, renamed to the keys of `names`. */
function texts<T extends string>(object: JsonObject, names: Readonly<Record<T, string>>): Partial<Record<T, string>> {
  const found: Partial<Record<T, string>> = {}
  for (const own of Object.keys(names) as T[]) {
    // the keys of `names` are T
    const value = object[names[own]]
    if (typeof value === 'string' && value !== '') found[own] = value
  }
  return found
}

function list(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : []
}

function objectIn(object: JsonObject, key: string): JsonObject {
  const value = object[key]
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {} // narrowed
}
