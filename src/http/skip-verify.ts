/** The hosts whose certificates the user has chosen not to verify. */
import { StowageError } from '../errors.js'

/** Throws INVALID_ARGUMENT if an item is not HOST or HOST:PORT. */
export function checkUnverified(hosts: readonly string[]): void {
  for (const host of hosts) {
    if (/^(\[[\da-f:.]+\]|[\w.-]+)(:\d{1,5})?$/i.test(host) && URL.canParse(`https://${host}`)) continue
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(host)} is not a host for --tls-skip-verify`, {
      hint: 'Write HOST or HOST:PORT.',
    })
  }
}

/** Whether `hosts` names the host of `url`: as HOST, with any port, or as HOST:PORT. */
export function isUnverified(url: URL, hosts: readonly string[]): boolean {
  if (url.protocol !== 'https:') return false
  const port = url.port || '443'
  return hosts.some(host => {
    const named = new URL(`https://${host}`)
    const own = /:(\d+)$/.exec(host.replace(/^\[.*?\]/, ''))?.[1]
    return named.hostname === url.hostname && (own === undefined || Number(own) === Number(port))
  })
}
