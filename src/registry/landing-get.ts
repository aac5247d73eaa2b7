/** {@link directGet} from afar: the connection is on the thread that writes the blob, and what is decided about it stays here. */
import type { Bytes } from '../blob/blob-store.js'
import type { Landing } from '../blob/landing.js'
import type { DirectOptions } from './direct-get.js'
import type { DirectHead, DirectRequest } from './landing-reader.js'

export interface LandingAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  /** Of an answer that is no blob, the beginning of what it says. */
  readonly body: Bytes
  /** Has the `length` bytes behind the next `skip` land, and tells how many did, now and then. */
  readonly land: (skip: number, length: number) => AsyncIterable<number>
  readonly close: () => void
}

const READER = new URL('./landing-reader.js', import.meta.url).href

/** Asks for `url`; undefined and errors as {@link directGet} has them. */
export async function landingGet(url: URL, landing: Landing, { signal, ...options }: DirectOptions): Promise<LandingAnswer | undefined> {
  const request: DirectRequest = { url: url.href, ...options }
  const landed = await landing.open(READER, request, signal)
  const head = landed.head as DirectHead | undefined // as landing-reader.ts gives it
  if (head) return { ...head, body: textOf(head), land: landed.read, close: landed.close }
  landed.close()
  return undefined
}

async function* textOf({ text }: DirectHead): Bytes {
  yield text
}
