/** Who may read: a file of names and bcrypt hashes, as htpasswd of Apache writes it. Sources: htpasswd(1), RFC 7617. */
import { createHmac, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { compare } from 'bcryptjs'
import { fileError, StowageError } from '../errors.js'

const BCRYPT = /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/
/** Answers kept, and checks that may wait for their turn. */
const KEPT = 1000
const WAITING = 100

/** Reads `path`. Throws INVALID_ARGUMENT naming the line that is not `name:bcrypt`; what the line holds is not repeated. */
export async function readHtpasswd(path: string): Promise<Gate> {
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
  return new Gate(hashes)
}

const HINT = 'Create the line with "htpasswd -B": registries accept only bcrypt.'

/** Tells who may pass. What was right once is known again without bcrypt, which takes a tenth of a second. */
export class Gate {
  readonly #hashes: ReadonlyMap<string, string>
  readonly #secret = randomBytes(32)
  readonly #answers = new Map<string, Promise<boolean>>()
  #line: Promise<unknown> = Promise.resolve()
  #waiting = 0

  constructor(hashes: ReadonlyMap<string, string>) {
    this.#hashes = hashes
  }

  /** The name that an Authorization header proves; undefined for one that proves nothing, `busy` where too many are checked. */
  async admit(header: string | undefined): Promise<{ readonly name: string } | 'busy' | undefined> {
    const encoded = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header ?? '')?.[1]
    const pair = Buffer.from(encoded ?? '', 'base64').toString()
    const colon = pair.indexOf(':')
    if (colon < 1) return undefined
    const name = pair.slice(0, colon)
    const key = createHmac('sha256', this.#secret).update(pair).digest('base64')
    const known = this.#answers.get(key)
    if (!known && this.#waiting >= WAITING) return 'busy'
    const pending = known ?? this.#check(name, pair.slice(colon + 1))
    this.#answers.set(key, pending)
    const right = await pending
    if (!right) this.#answers.delete(key)
    else if (this.#answers.size > KEPT) this.#answers.delete(this.#answers.keys().next().value ?? '')
    return right ? { name } : undefined
  }

  /** One at a time: bcrypt takes the thread that serves. */
  async #check(name: string, password: string): Promise<boolean> {
    this.#waiting += 1
    const turn = this.#line.then(async () => {
      const hash = this.#hashes.get(name)
      const [any = ''] = this.#hashes.values() // a name that is not in the file takes as long as one that is
      return (await compare(password, hash ?? any)) && hash !== undefined
    })
    this.#line = turn.catch(() => undefined)
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
