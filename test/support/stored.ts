/** Layouts with images that stand on one another, and what a layout holds against what its index needs: read without Stowage. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Platform } from '../../src/oci/platform.js'
import { makeImage, makeLayer, type TestImage } from './images.js'

export const NANO = { name: 'NanoServer', publisher: 'CN=Microsoft', version: '10.0.14300.1010' }

export interface Standing {
  /** A base OS image of Windows. */
  readonly nano: TestImage
  /** Stands on it. */
  readonly app: TestImage
  /** Stands on `app`. */
  readonly shop: TestImage
  /** Stands on nothing, and nothing on it. */
  readonly other: TestImage
}

const WINDOWS: Platform = { os: 'windows', architecture: 'amd64', 'os.version': NANO.version }

/** Four images, each a year older than the one after it, from 2016 on; for another platform `nano` is not a base OS image. */
export async function standingImages(platform = WINDOWS): Promise<Standing> {
  const layers = [
    await makeLayer({ 'Files/nano': 'nano' }),
    await makeLayer({ 'Files/app': 'app' }),
    await makeLayer({ 'Files/shop': 'shop' }),
  ]
  const apply = { created: '2016-01-01T00:00:00Z', created_by: `Apply image ${NANO.version}` }
  const install = {
    created: '2017-01-01T00:00:00Z',
    created_by: 'cmd /S /C install.cmd with a command that is longer than it is shown',
    comment: 'by hand',
  }
  const command = { created: '2017-01-02T00:00:00Z', created_by: 'CMD ["app.exe"]', empty_layer: true }
  const Labels = {
    'org.opencontainers.image.title': NANO.name,
    'org.opencontainers.image.vendor': NANO.publisher,
    'org.opencontainers.image.version': NANO.version,
  }
  return {
    nano: makeImage(layers.slice(0, 1), {
      platform,
      config: { created: apply.created, history: [apply], config: { Labels } },
    }),
    app: makeImage(layers.slice(0, 2), {
      platform,
      config: {
        created: command.created,
        history: [apply, install, command],
        config: { Labels: { tier: 'front', empty: '' } },
      },
    }),
    shop: makeImage(layers, { platform, config: { created: '2018-01-01T00:00:00Z' } }),
    other: makeImage([await makeLayer({ other: 'other' })], { config: { created: '2019-01-01T00:00:00Z' } }),
  }
}

interface Json {
  readonly [key: string]: unknown
}

/** Hex names of all blobs that `layout`'s index reaches, `subject` left out; throws where a manifest of it is not there. */
export function reached(layout: string): readonly string[] {
  const found = new Set<string>()
  const visit = (descriptor: Json): void => {
    const hex = String(descriptor['digest']).replace('sha256:', '')
    if (found.has(hex)) return
    found.add(hex)
    if (!/(manifest|index|list)\.?(v1|v2)?\+json$/.test(String(descriptor['mediaType']))) return
    const document = JSON.parse(readFileSync(join(layout, 'blobs/sha256', hex), 'utf8')) as Json
    for (const key of ['manifests', 'layers']) for (const child of (document[key] ?? []) as Json[]) visit(child)
    if (document['config']) visit(document['config'] as Json)
  }
  for (const entry of (JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: Json[] }).manifests)
    visit(entry)
  return [...found].sort()
}

/** Names of all files among the blobs. */
export function held(layout: string): readonly string[] {
  return readdirSync(join(layout, 'blobs/sha256')).sort()
}
