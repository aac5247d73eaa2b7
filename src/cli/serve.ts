/** `stowage serve`: serves bundles as a read-only registry. */
import { BUNDLE_FORMS } from './locations.js'
import { command, flag, oneOrMore, value } from './command.js'
import { hostname, networkInterfaces } from 'node:os'
import { StowageError } from '../errors.js'
import { isLoopback } from '../http/proxy.js'
import { formatHost, isAny } from '../serve/listen.js'
import { type BundleServer, serveBundle, type ServedRequest } from '../serve/serve.js'
import type { FailedConnection } from '../serve/strangers.js'
import { count, jsonText, printable, table } from './render.js'
import { formatSize } from '../size-text.js'
import { interruption } from './session.js'
import { policyTrust } from './trust-options.js'

export const serve = command({
  operands: {
    bundle: oneOrMore(
      `Bundles (${BUNDLE_FORMS}) or layouts (oci:DIR); bundle:PATH:REF or oci:DIR:REF is one image`,
      'path',
    ),
  },
  options: {
    listen: value('HOST:PORT to listen on; :PORT is loopback, :0 is any free port (default 127.0.0.1:5000)'),
    'tls-cert': value('Certificate for https with its chain, PEM', { takes: 'path' }),
    'tls-key': value('Private key of the certificate, PEM', { takes: 'path' }),
    htpasswd: value('Require a user name and password from this file; create it with "htpasswd -B"', { takes: 'path' }),
    verify: flag('Check all content at startup instead of each blob when first requested'),
  },
  examples: [
    ['serve /media/stick/site-a', 'For this machine: docker pull 127.0.0.1:5000/library/shop:2.3'],
    ['serve site-a.tar oci:more --listen 0.0.0.0:443 --tls-cert site.crt --tls-key site.key', 'For a whole site'],
  ],
  run: async (
    { bundle, listen, 'tls-cert': certFile, 'tls-key': keyFile, htpasswd, verify, ...options },
    { signal, onProgress, report, note },
  ) => {
    if ((certFile === undefined) !== (keyFile === undefined)) {
      throw new StowageError('INVALID_ARGUMENT', '--tls-cert and --tls-key must be given together')
    }
    const tls = certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile }
    const silent = options.quiet || options.progress === 'none'
    const json = options.progress === 'json'
    await using server = await serveBundle(bundle, {
      listen,
      tls,
      htpasswd,
      verify,
      trust: await policyTrust(),
      onRequest: silent ? undefined : requestLog(json),
      onFailedConnection: silent ? undefined : connectionLog(json),
      onNotice: note,
      onProgress,
      signal,
    })
    const host = reachable(server.address.host)
    for (const warning of [...server.warnings, ...exposure(server, tls !== undefined, htpasswd !== undefined)])
      note(`warning: ${warning}`)
    report(document(server, host, tls !== undefined, htpasswd !== undefined), text(server, host))
    if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
    await server.close()
    process.exitCode = interruption() ?? process.exitCode
  },
})

function document(
  server: BundleServer,
  host: string,
  tls: boolean,
  password: boolean,
): Readonly<Record<string, unknown>> {
  const { address, images, warnings } = server
  return {
    schema: 'stowage.serve/v1',
    ...address,
    tls,
    password,
    images: images.map(({ root: { digest, mediaType }, ...image }) => {
      const pull = nameAt(image, digest, formatHost(host, address.port))
      return { ...image, digest, mediaType, ...(pull === undefined ? {} : { pull }) }
    }),
    warnings,
  }
}

function text({ address, images }: BundleServer, host: string): string {
  const rows = images.map(({ root, platforms, size, ...image }) => {
    const pull = nameAt(image, root.digest, formatHost(host, address.port))
    return [
      `${image.repository}${image.tag === undefined ? '' : `:${image.tag}`}`,
      platforms.join(', ') || '-',
      formatSize(size),
      pull === undefined ? '-' : `docker pull ${pull}`,
    ]
  })
  return `${table(['NAME', 'PLATFORM', 'SIZE', 'PULL'], rows)}Serving ${count(images.length, 'image')} at ${address.url} until interrupted\n`
}

/**
 * The argument for `docker pull`; undefined for a name that contains a port, which can be requested only through a
 * mirror.
 */
function nameAt(
  { name, tag }: { readonly name: string; readonly tag: string | undefined },
  digest: string,
  server: string,
): string | undefined {
  if (name.includes(':')) return undefined
  return `${server}/${name}${tag === undefined ? `@${digest}` : `:${tag}`}`
}

/** The address for other machines to use: if it listens on all addresses, one of them or the host name. */
function reachable(host: string): string {
  if (!isAny(host)) return host
  const outer = Object.values(networkInterfaces())
    .flatMap(list => list ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4')
  return outer?.address ?? hostname()
}

function exposure({ address: { host, port } }: BundleServer, tls: boolean, password: boolean): readonly string[] {
  if (tls || isLoopback(host)) return []
  const server = formatHost(reachable(host), port)
  return [
    `other machines reach this over plain http, which Docker refuses: put "insecure-registries": ["${server}"] into their /etc/docker/daemon.json, or use --tls-cert and --tls-key`,
    ...(password ? ['without TLS, user names and passwords cross the network in plain text'] : []),
  ]
}

function connectionLog(json: boolean): (failure: FailedConnection) => void {
  return ({ time, client, reason }) => {
    const at = time.toISOString()
    process.stderr.write(
      `${json ? jsonText({ type: 'connection', time: at, client, reason }) : `${at} ${client || '-'} - ${reason}`}\n`,
    )
  }
}

/** Logs each request as a line or, with `json`, as an event. Text from clients is made safe for a terminal. */
function requestLog(json: boolean): (request: ServedRequest) => void {
  return ({ time, client, user, method, target, status, sent, duration, error }) => {
    const at = time.toISOString()
    const line = json
      ? jsonText({
          type: 'request',
          time: at,
          client,
          user,
          method,
          target,
          status,
          sent,
          duration,
          ...(error ? { error: { code: error.code, message: error.message } } : {}),
        })
      : printable(
          `${at} ${client} ${user ?? '-'} ${method} ${target} ${status} ${formatSize(sent)} ${duration}ms${error ? `: ${error.message}` : ''}`,
        )
    process.stderr.write(`${line.replaceAll('\n', '\\n')}\n`)
  }
}
