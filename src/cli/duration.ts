/** Formats how long ago something happened, in the words that docker uses. */

/** `About an hour ago` or `3 weeks ago` for an RFC 3339 time; `N/A` if there is no valid time. */
export function formatAgo(time: string | undefined, now = Date.now()): string {
  const at = time === undefined ? Number.NaN : Date.parse(time)
  return Number.isNaN(at) ? 'N/A' : `${durationText((now - at) / 1000)} ago`
}

function durationText(seconds: number): string {
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(seconds / 3600 + 0.5)
  if (seconds < 1) return 'Less than a second'
  if (seconds < 2) return '1 second'
  if (seconds < 60) return `${Math.floor(seconds)} seconds`
  if (minutes === 1) return 'About a minute'
  if (minutes < 60) return `${minutes} minutes`
  if (hours === 1) return 'About an hour'
  if (hours < 48) return `${hours} hours`
  const days = Math.floor(hours / 24)
  if (days < 14) return `${days} days`
  if (days < 60) return `${Math.floor(days / 7)} weeks`
  if (days < 730) return `${Math.floor(days / 30)} months`
  return `${Math.floor(days / 365)} years`
}
