/** Requests whose bodies native threads read and write, over connections of their own; what is decided about them stays here. */
import { lookup } from 'node:dns/promises'
import type { BlobPlace, Bytes } from '../blob/blob-store.js'
import type { NativeDownloader, NativeRequest, NativeTls } from '../blob/native-download.js'
import { sendBlob } from '../blob/send-blob.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { TlsMaterial } from './exchange.js'
import { type AnswerHead, HEAD_END, lengthOf, parseHead, requestHead } from './head.js'

export interface NativeOptions {
  readonly headers: Readonly<Record<string, string>>
  /** For https. */
  readonly tls: TlsMaterial
  /** Milliseconds: for the connection, and for how long nothing may come. */
  readonly connectTimeout: number
  readonly silence: number
  readonly signal?: AbortSignal | undefined
}

export interface NativeAnswer extends AnswerHead {
  /** The beginning of what it says; nothing of a blob. */
  readonly body: Bytes
  /** Of a GET: has the `length` bytes behind the next `skip` land, and tells how many did, now and then. */
  readonly land?: (skip: number, length: number) => AsyncIterable<number>
  readonly close: () => void
}

/** Asks for `url`; undefined if the answer is in a form that is not read here. Throws what the network does, as errors of the system. */
export async function downloadingGet(
  url: URL,
  downloader: NativeDownloader,
  options: NativeOptions,
): Promise<NativeAnswer | undefined> {
  const landed = await downloader.ask(await nativeRequest('GET', url, options), options.signal)
  try {
    const answer = parseAnswer(landed.head)
    if (lengthOf(answer) !== undefined) return { ...answer, land: landed.read, close: landed.close }
  } catch (error) {
    landed.close()
    throw error
  }
  landed.close()
  return undefined
}

/** Puts `blob`, which is at `place`, to `url`. Throws as {@link sendBlob}, and where the answer is not HTTP. */
export async function sendingPut(
  url: URL,
  place: BlobPlace,
  blob: Descriptor,
  options: NativeOptions,
): Promise<NativeAnswer> {
  const answer = parseAnswer(await sendBlob(place, blob, await nativeRequest('PUT', url, options), options.signal))
  return { ...answer, close: () => undefined }
}

async function nativeRequest(
  method: string,
  url: URL,
  { headers, connectTimeout, silence, tls }: NativeOptions,
): Promise<NativeRequest> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const found = await lookup(host, { all: true })
  const secure = url.protocol === 'https:'
  return {
    addresses: found.map(({ address }) => address),
    port: Number(url.port || (secure ? 443 : 80)),
    connectTimeout,
    silence,
    head: Buffer.from(requestHead(method, url, headers), 'latin1'),
    ...(secure ? { tls: nativeTls(host, tls) } : {}),
  }
}

function nativeTls(name: string, { ca, cert = '', key = '' }: TlsMaterial): NativeTls {
  return { name, authorities: ca.join('\n'), certificate: cert, key }
}

function parseAnswer(bytes: Buffer): AnswerHead & { readonly body: Bytes } {
  const end = bytes.indexOf(HEAD_END)
  return { ...parseHead(bytes.toString('latin1', 0, end)), body: textOf(bytes.subarray(end + HEAD_END.length)) }
}

async function* textOf(text: Uint8Array): Bytes {
  yield text
}
