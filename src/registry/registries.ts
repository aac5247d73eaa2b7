/** Registries that are spoken to in one job: each once, with its connections, its tokens and what it was found to speak. */
import { openRegistry, type RegistryClient, type RegistryOptions } from './client.js'

/** The caller disposes of it, and of all connections with it. */
export class Registries implements AsyncDisposable {
  readonly #options: RegistryOptions
  readonly #clients = new Map<string, Promise<RegistryClient>>()

  constructor(options: RegistryOptions = {}) {
    this.#options = options
  }

  /** The registry that references name as `domain`; nothing is sent before something is asked. */
  async get(domain: string): Promise<RegistryClient> {
    const known = this.#clients.get(domain) ?? openRegistry(domain, this.#options)
    this.#clients.set(domain, known)
    return await known
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.values()) await (await client.catch(() => undefined))?.[Symbol.asyncDispose]() // one that failed was told to whoever asked
  }
}
