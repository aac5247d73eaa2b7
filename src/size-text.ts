/** Sizes in words, as docker writes them: decimal units, and three digits. */

/** `405B`, `63.4kB`, `1.05MB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let [value, unit] = [bytes, 0]
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1]
  return `${unit === 0 ? Math.round(value) : Number(value.toPrecision(3))}${units[unit] ?? ''}`
}

/** The rounded and the exact size: `63.4kB (63412 bytes)`. */
export function exactSize(bytes: number): string {
  return `${formatSize(bytes)} (${bytes} bytes)`
}
