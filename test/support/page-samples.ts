/** Descriptions of bundles for pages: such as people have, and such as nobody should. */
import type {
  InspectedArtifact,
  InspectedImage,
  InspectedLayer,
  InspectedPlatform,
} from '../../src/image/inspection.js'
import { digestOf } from '../../src/oci/digest.js'
import type { Platform } from '../../src/oci/platform.js'
import type { PageBundle, PageContents } from '../../src/page/contents.js'

const MB = 1_000_000
const LINUX: Platform = { os: 'linux', architecture: 'amd64' }
const ARM: Platform = { os: 'linux', architecture: 'arm64', variant: 'v8' }
const WINDOWS: Platform = { os: 'windows', architecture: 'amd64', 'os.version': '10.0.20348.2849' }

const BASE = [layer('debian', 29.2), layer('certificates', 3.4)]
const NODE = [...BASE, layer('node', 48.1), layer('yarn', 1.3)]
const PYTHON = [...BASE, layer('python', 21.7)]
const NANOSERVER = [layer('nanoserver', 121.3)]
const SERVERCORE = [layer('servercore', 1_620), layer('servercore update', 512)]

/** Images of several systems that share layers, with an SBOM and a signature, and two files. */
export function desk(): PageContents {
  return contents(
    [
      image('docker.io/library/shop:2.3', [
        platform(LINUX, [...NODE, layer('shop', 18.4), layer('shop config', 0.0012)], LABELS),
        platform(ARM, [layer('debian arm', 27.9), layer('node arm', 46.2), layer('shop arm', 18.1)], LABELS),
      ]),
      image('docker.io/library/shop-worker:2.3', [platform(LINUX, [...NODE, layer('worker', 6.2)])]),
      image('docker.io/library/monitor:1.4', [platform(LINUX, [...PYTHON, layer('monitor', 3.1)])]),
      image('registry.example:5000/tools/report:7', [
        platform(LINUX, [...PYTHON, layer('fonts', 41.8), layer('report', 2.2)]),
      ]),
      image('mcr.microsoft.com/windows/nanoserver:ltsc2022', [platform(WINDOWS, NANOSERVER)]),
      image('registry.example:5000/till:9.1', [platform(WINDOWS, [...NANOSERVER, layer('till', 35.8)])]),
      image('registry.example:5000/scan-service:4', [platform(WINDOWS, [...SERVERCORE, layer('scan', 88.3)])]),
      signatureOf('docker.io/library/shop:2.3'),
    ],
    {
      created: '2026-03-01T08:00:00.000Z',
      keys: ['5f0c9e2b7a4d'],
      files: [
        { path: 'files/compose.yaml', size: 1834, digest: digestOf(Buffer.from('compose')) },
        { path: 'files/docs/Handbook for the site.pdf', size: 2_311_907, digest: digestOf(Buffer.from('pdf')) },
      ],
    },
  )
}

export function single(): PageContents {
  return contents([image('docker.io/library/monitor:1.4', [platform(LINUX, [...PYTHON, layer('monitor', 3.1)])])])
}

export function delta(): PageContents {
  const left = [...NODE, ...NANOSERVER]
  const { images, ...rest } = desk()
  return {
    ...rest,
    images: images.slice(0, 6),
    size: 118 * MB,
    place: {
      ...bundle(),
      assumes: {
        sources: [{ place: 'docker-daemon:', digest: digestOf(Buffer.from('site a')) }],
        images: [
          { names: ['docker.io/library/postgres:16'], roots: [digestOf(Buffer.from('postgres'))], size: 152 * MB },
        ],
        layers: left.map(({ digest, size }) => ({ digest: digest ?? '', size: size ?? 0 })),
      },
    },
  }
}

export function volumes(): PageContents {
  return {
    ...desk(),
    place: { ...bundle(), volumes: { name: 'site-a.tar', count: 3, size: 1_000 * MB, total: 2_617 * MB } },
  }
}

/** As many services of one product. */
export function many(count: number): PageContents {
  const images = Array.from({ length: count }, (_, n) => {
    const base = n % 3 === 0 ? NODE : n % 3 === 1 ? PYTHON : BASE
    const own = [layer(`library ${n % 7}`, 4 + (n % 7) * 3), layer(`service ${n}`, 1 + ((n * 37) % 60))]
    return image(`registry.example:5000/product/service-${String(n + 1).padStart(3, '0')}:3.${n % 9}.0`, [
      platform(LINUX, [...base, ...own]),
    ])
  })
  return contents(images)
}

/** What runs if a page lets it: it calls alert(), asks a host, or changes the title. */
export const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=http://evil.example/x onerror=alert(2)>',
  "' onmouseover='alert(3)",
  '</style><style>*{display:none}</style>',
  '</title><script>alert(4)</script>',
  '<!-- <svg/onload=alert(5)>',
  '${alert(6)}',
  '&lt;b&gt; &amp;amp;',
  'javascript:alert(7)',
  'data:text/html,<script>alert(8)</script>',
  'a\u202egnp.exe',
  'nul\u0000in it',
  'lone \ud800 surrogate \udfff',
  '</pre></code></main></body><iframe src="javascript:alert(9)">',
  '\u2028\u2029\u0085\u001b[31mred',
  '`onload=alert(10)`',
  '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 שלום مرحبا 你好 👩‍👩‍👧',
]

export function hostile(): PageContents {
  const labels = Object.fromEntries([
    ...HOSTILE.map((text, n) => [`label ${n} ${text}`, text]),
    ...['source', 'url', 'revision', 'title', 'description'].map((key, n) => [
      `org.opencontainers.image.${key}`,
      ['javascript:alert(11)', 'http://evil.example/"onclick="alert(12)', ...HOSTILE][n] ?? '',
    ]),
    ['org.opencontainers.image.documentation', 'https://docs.example/page'],
    ['long', 'x'.repeat(60_000)],
    ['long line', '<b>'.repeat(20_000)],
  ])
  const all = HOSTILE.join(' ')
  const evil: Platform = { os: all, architecture: '"><script>alert(13)</script>', 'os.version': '<i>' }
  const one = platform(
    evil,
    [
      { ...layer('one', 10), mediaType: all, urls: ['javascript:alert(14)', 'https://layers.example/1'] },
      { ...layer('two', 12), digest: 'sha256:"><script>alert(15)</script>' },
    ],
    labels,
  )
  const base = image('docker.io/library/evil:1', [
    {
      ...one,
      author: all,
      user: all,
      created: all,
      entrypoint: HOSTILE,
      exposedPorts: HOSTILE,
      history: HOSTILE.slice(0, 2).map(createdBy => ({ createdBy, emptyLayer: false })),
    },
  ])
  const { root } = base
  return contents(
    [
      {
        ...base,
        ...(root ? { root: { ...root, annotations: labels, artifactType: all, mediaType: all } } : {}),
        others: [artifact(all, all)],
      },
      {
        names: [],
        platforms: [],
        others: [],
        absent: [],
        wim: { path: all, index: 1, name: all, languages: [], directories: 1, files: 1, size: 1, layerSize: 1 },
      },
    ],
    {
      created: all,
      keys: HOSTILE,
      files: HOSTILE.map((text, n) => ({ path: `files/${n} ${text}`, size: n, digest: text })),
      assumes: {
        sources: [{ place: all, digest: all, site: 1 }],
        images: [{ names: HOSTILE, roots: [all], size: 1 }],
        layers: [{ digest: all, size: 1 }],
      },
    },
  )
}

const LABELS = {
  'org.opencontainers.image.title': 'shop',
  'org.opencontainers.image.description': 'The web shop of the site: catalogue, basket and checkout.',
  'org.opencontainers.image.source': 'https://git.example/site/shop',
  'org.opencontainers.image.revision': '9f4c2a7be1f0c6d1a8e5b3d2c4f6a7b8c9d0e1f2',
  'org.opencontainers.image.version': '2.3.0',
  'org.opencontainers.image.licenses': 'Apache-2.0',
}

function contents(images: readonly InspectedImage[], more: Partial<PageBundle> = {}): PageContents {
  const layers = new Map(
    images
      .flatMap(({ platforms }) => platforms.flatMap(each => each.layers))
      .map(each => [each.digest, each.size ?? 0]),
  )
  const size = [...layers.values()].reduce((sum, each) => sum + each, 0)
  return { place: { ...bundle(), ...more }, generator: { name: 'stowage', version: '0.1.0' }, images, size }
}

function bundle(): PageBundle {
  return { type: 'bundle', files: [], undelivered: new Map(), keys: [] }
}

function layer(name: string, megabytes: number): InspectedLayer {
  return {
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    digest: digestOf(Buffer.from(name)),
    size: Math.round(megabytes * MB),
    diffId: digestOf(Buffer.from(`${name} unpacked`)),
  }
}

function platform(
  of: Platform,
  layers: readonly InspectedLayer[],
  labels: Readonly<Record<string, string>> = {},
): InspectedPlatform {
  const text = Buffer.from(JSON.stringify([of, layers]))
  return {
    platform: of,
    manifest: {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: digestOf(text),
      size: 812,
      annotations: {},
    },
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(Buffer.concat([text, text])),
      size: 2048,
    },
    created: '2026-02-27T14:03:11.482+01:00',
    env: [],
    entrypoint: of.os === 'windows' ? ['C:\\app\\service.exe'] : ['/usr/local/bin/entrypoint'],
    cmd: ['serve', '--port', '8080'],
    exposedPorts: ['8080/tcp'],
    volumes: [],
    labels,
    history: layers.map((_, n) => ({
      createdBy:
        n === 0
          ? 'debian.sh --arch amd64 out/ bookworm @1740000000'
          : `RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends part-${n} && rm -rf /var/lib/apt/lists/* # buildkit`,
      emptyLayer: false,
    })),
    layers,
    size: layers.reduce((sum, { size = 0 }) => sum + size, 2860),
  }
}

function image(name: string, platforms: readonly InspectedPlatform[]): InspectedImage {
  const [only, ...more] = platforms
  const index = {
    mediaType: 'application/vnd.oci.image.index.v1+json',
    digest: digestOf(Buffer.from(name)),
    size: 1204,
    annotations: {},
  }
  const root = only?.manifest && more.length === 0 ? only.manifest : index
  const size = platforms.reduce((sum, each) => sum + (each.size ?? 0), 0)
  const sbom =
    more.length > 0
      ? [
          artifact('https://spdx.dev/Document', only?.manifest?.digest),
          artifact('https://slsa.dev/provenance/v1', only?.manifest?.digest),
        ]
      : []
  return { names: [name], root, size, platforms, others: sbom, absent: [] }
}

function artifact(predicate: string, about: string | undefined): InspectedArtifact {
  return {
    type: 'attestation',
    manifest: {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: digestOf(Buffer.from(`${predicate}${about}`)),
      size: 566,
      annotations: {},
    },
    ...(about === undefined ? {} : { about }),
    predicateTypes: [predicate],
    size: 48_211,
  }
}

function signatureOf(name: string): InspectedImage {
  const subject = {
    mediaType: 'application/vnd.oci.image.index.v1+json',
    digest: digestOf(Buffer.from(name)),
    size: 1204,
  }
  const manifest = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: digestOf(Buffer.from(`signature of ${name}`)),
    size: 733,
    annotations: {},
    artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    subject,
  }
  return {
    names: [],
    root: manifest,
    size: 9_120,
    platforms: [],
    others: [{ type: 'artifact', manifest, about: subject.digest, size: 9_120 }],
    absent: [],
  }
}
