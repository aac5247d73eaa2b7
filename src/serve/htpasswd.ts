/**
 * Basic authentication against a file of names and bcrypt hashes in Apache's format. Sources: htpasswd(1), RFC 7617.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { compare } from 'bcryptjs'
import { fileError, StowageError } from '../errors.js'

const BCRYPT = /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/
/** Maximum number of cached results. */
const CACHE_LIMIT = 1000
/** Maximum number of checks that wait for their turn. */
const QUEUE_LIMIT = 100

/** Reads `path`. Throws INVALID_ARGUMENT naming a line that is not `name:bcrypt`, without repeating its content. */
export async function readHtpasswd(path: string): Promise<Authenticator> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(error, path)
  })
  const hashes = new Map<string, string>()
  for (const [n, line] of text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const where = `${path}:${n + 1}`
    const colon = line.indexOf(':')
    const hash = line.slice(colon + 1).trim()
    if (colon < 1) throw new StowageError('INVALID_ARGUMENT', `${where}: expected name:hash`, { hint: HINT })
    if (!BCRYPT.test(hash)) {
      throw new StowageError('INVALID_ARGUMENT', `${where}: expected a bcrypt hash but found ${kindOf(hash)}`, {
        hint: HINT,
      })
    }
    const name = line.slice(0, colon)
    if (hashes.has(name))
      throw new StowageError('INVALID_ARGUMENT', `${where}: ${JSON.stringify(name)} is listed twice`)
    hashes.set(name, hash)
  }
  if (hashes.size === 0)
    throw new StowageError('INVALID_ARGUMENT', `${path} lists no users, so nobody could log in`, { hint: HINT })
  return new Authenticator(hashes)
}

const HINT = 'Create the line with "htpasswd -B": registries accept only bcrypt.'

/** Checks credentials, and caches those that were right: bcrypt takes a tenth of a second. */
export class Authenticator {
  readonly #hashes: ReadonlyMap<string, string>
  readonly #secret = randomBytes(32)
  readonly #results = new Map<string, Promise<boolean>>()
  #queue: Promise<unknown> = Promise.resolve()
  #waiting = 0

  constructor(hashes: ReadonlyMap<string, string>) {
    this.#hashes = hashes
  }

  /** The user of an Authorization header; undefined if it is not valid, `busy` if too many checks are waiting. */
  async authenticate(header: string | undefined): Promise<{ readonly name: string } | 'busy' | undefined> {
    const encoded = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header ?? '')?.[1]
    const pair = Buffer.from(encoded ?? '', 'base64').toString()
    const colon = pair.indexOf(':')
    if (colon < 1) return undefined
    const name = pair.slice(0, colon)
    const key = createHmac('sha256', this.#secret).update(pair).digest('base64')
    const known = this.#results.get(key)
    if (!known && this.#waiting >= QUEUE_LIMIT) return 'busy'
    const pending = known ?? this.#check(name, pair.slice(colon + 1))
    this.#results.set(key, pending)
    const valid = await pending
    if (!valid) this.#results.delete(key)
    else if (this.#results.size > CACHE_LIMIT) this.#results.delete(this.#results.keys().next().value ?? '')
    return valid ? { name } : undefined
  }

  /** Checks passwords one at a time: bcrypt occupies the thread that serves requests. */
  async #check(name: string, password: string): Promise<boolean> {
    this.#waiting += 1
    const turn = this.#queue.then(async () => {
      const hash = this.#hashes.get(name)
      const [any = ''] = this.#hashes.values() // so that an unknown name takes as long as a known one
      return (await compare(password, hash ?? any)) && hash !== undefined
    })
    this.#queue = turn.catch(() => undefined)
    try {
      return await turn
    } finally {
      this.#waiting -= 1
    }
  }
}

function kindOf(hash: string): string {
  if (hash.startsWith('$apr1$')) return "Apache's MD5 ($apr1$)"
  if (hash.startsWith('{SHA}')) return 'SHA-1 ({SHA})'
  if (/^\$[56]\$/.test(hash)) return 'SHA-2 crypt'
  if (hash.startsWith('$2')) return 'a bcrypt hash that is truncated or changed'
  return 'something else'
}
