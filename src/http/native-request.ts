/**
 * Sends requests whose bodies native threads transfer over separate connections. The responses are interpreted here.
 */
import { lookup } from 'node:dns/promises'
import type { Bytes } from '../blob/blob-store.js'
import type { NativeDownloader, NativeRequest, NativeTls } from '../blob/native-download.js'
import { sendBlob } from '../blob/send-blob.js'
import type { HttpRequest, TlsMaterial } from './exchange.js'
import { type AnswerHead, HEAD_END, lengthOf, parseHead, requestHead } from './head.js'

export interface NativeOptions {
  readonly headers: Readonly<Record<string, string>>
  /** For https. */
  readonly tls: TlsMaterial
  /** In milliseconds. */
  readonly connectTimeout: number
  /** Milliseconds without any data after which a connection fails. */
  readonly silence: number
  readonly signal?: AbortSignal | undefined
}

export interface NativeAnswer extends AnswerHead {
  /** The beginning of the body, for error messages. The body of a successful GET is not part of it. */
  readonly body: Bytes
  /** For a GET: see HttpBody.writeToFile. */
  readonly writeToFile?: (skip: number, length: number) => AsyncIterable<number>
  readonly close: () => void
}

/**
 * Sends a GET whose body `downloader` writes to its file. Undefined if the size of the body is unknown. Throws network
 * errors of the system.
 */
export async function nativeGet(
  url: URL,
  downloader: NativeDownloader,
  options: NativeOptions,
): Promise<NativeAnswer | undefined> {
  const download = await downloader.ask(await nativeRequest('GET', url, options), options.signal)
  try {
    const answer = parseAnswer(download.head)
    if (lengthOf(answer) !== undefined) return { ...answer, writeToFile: download.read, close: download.close }
  } catch (error) {
    download.close()
    throw error
  }
  download.close()
  return undefined
}

/** Sends a PUT with the blob of a file, read from its place. Throws as {@link sendBlob}, and if the response is not HTTP. */
export async function nativePut(
  url: URL,
  { place, blob, onSent }: NonNullable<HttpRequest['file']>,
  options: NativeOptions,
): Promise<NativeAnswer> {
  const request = await nativeRequest('PUT', url, options)
  const answer = parseAnswer(await sendBlob(place, blob, request, { signal: options.signal, onSent }))
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
