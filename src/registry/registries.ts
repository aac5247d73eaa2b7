/** The registries that one job uses: one client for each, which shares its connections, tokens and scheme. */
import { openRegistry, type RegistryClient, type RegistryOptions } from './client.js'

/** The caller disposes of it, and of all connections with it. */
export class Registries implements AsyncDisposable {
  readonly #options: RegistryOptions
  readonly #clients = new Map<string, Promise<RegistryClient>>()

  constructor(options: RegistryOptions = {}) {
    this.#options = options
  }

  /** The registry that references call `domain`. It connects with the first request. */
  async get(domain: string): Promise<RegistryClient> {
    const known = this.#clients.get(domain) ?? openRegistry(domain, this.#options)
    this.#clients.set(domain, known)
    return await known
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Whoever asked for a client that could not be opened has the error
    for (const client of this.#clients.values()) await (await client.catch(() => undefined))?.[Symbol.asyncDispose]()
  }
}
