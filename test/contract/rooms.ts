/** The rooms of `src/` from the ground up: the one list that the imports test and ARCHITECTURE.md's picture are made from. */

export interface Room {
  /** Of a folder or a file below `src/`. A folder within a folder is a room of its own if it is listed. */
  readonly path: string
  /** What it is for, one sentence. */
  readonly purpose: string
}

/** A module may import from its own room and from rooms listed before it. */
export const ROOMS: readonly (readonly Room[])[] = [
  [
    { path: 'errors.ts', purpose: 'The one error class and its codes.' },
    { path: 'progress.ts', purpose: 'The union of progress events.' },
    { path: 'native.ts', purpose: 'Finds and loads the addon; nothing else knows its file.' },
  ],
  [
    {
      path: 'oci',
      purpose:
        'The words of OCI as types and pure functions: digest, descriptor, manifest, config, platform, reference, layout; compression formats in one table; reading JSON from outside.',
    },
    { path: 'generator.ts', purpose: 'The name and version that bundles carry.' },
    {
      path: 'windows',
      purpose:
        'Formats of Windows that layers and WIMs share: FILETIME, reparse points, security descriptors, extended attributes, hives, upper case.',
    },
  ],
  [
    {
      path: 'blob',
      purpose:
        'Content named by its digest: what a blob store is, `verified()`, blobs as files of a directory, everything an image reaches; the workspace for temporary files.',
    },
    { path: 'tar', purpose: 'The headers of what we write, and the list of members of a tar we read.' },
    {
      path: 'wim',
      purpose:
        'The TypeScript face of the addon: an open WIM and all that can be done to it, options, progress, errors; update scripts and source lists; mounting.',
    },
  ],
  [
    { path: 'http', purpose: 'Requests: connection pools, proxies, certificates, retries, downloads that resume.' },
    {
      path: 'archive',
      purpose:
        "Image archives of any tool: members by name, in place or spooled; docker's list of images; outer compression; the heads and the writer of ours.",
    },
    {
      path: 'layer',
      purpose: 'What the three rooms of layers share: how a layer is compressed, and where it is written.',
    },
  ],
  [
    {
      path: 'engine',
      purpose:
        'The Docker Engine API: where the engine is, what its store holds, the archive it is sent, the proof of a load, its exports.',
    },
    {
      path: 'registry',
      purpose: 'Registries as the OCI distribution-spec has them: credentials and tokens, reading and writing.',
    },
    {
      path: 'layer/read',
      purpose: 'Any layer, read entry by entry: checked against the rules of Windows hosts, inspected, compared.',
    },
  ],
  [
    {
      path: 'layer/make',
      purpose: 'Layers made from WIM images and directories: names, order and PAX records as a plan, and running it.',
    },
    { path: 'layer/to-wim', purpose: 'Layers applied, as the images of a WIM.' },
  ],
  [
    {
      path: 'image',
      purpose:
        'What an image is read from, written to and kept in; choosing one among many; what refers to it; what it is.',
    },
  ],
  [
    {
      path: 'bundle',
      purpose: 'The bundle: manifest, checksums, heads, reader, verification, and a writer over a directory or a tar.',
    },
  ],
  [
    {
      path: 'transport',
      purpose:
        'Locations, and one folder for each transport: its grammar, source, destination, store and inspection, and what it can do. `list.ts` is the only list of them.',
    },
  ],
  [
    {
      path: 'transfer',
      purpose:
        'The copy engine: `Transfer` opens both ends, selects images, platforms, foreign layers and referrers, writes, finishes, and takes back what a failure left; its options, declared once.',
    },
  ],
  [
    {
      path: 'verbs',
      purpose:
        'Pack, copy, load, pull, push, inspect, images, history, tag, remove, commit, prune: the policy and the report of each.',
    },
  ],
  [
    {
      path: 'serve',
      purpose: 'Bundles and layouts as a registry that can only be read: names, ranges, checks, who may.',
    },
    {
      path: 'base-image',
      purpose:
        'Base OS images of Windows: registered sources, what they offer, which is meant; saved, checked and installed; whether a host runs it.',
    },
    { path: 'images-file', purpose: '`images.yaml`: its form, tags and digests found, the lock, packing by it.' },
  ],
  [
    { path: 'cli', purpose: 'The command: parses, makes one library call, prints.' },
    { path: 'index.ts', purpose: 'The public API, name by name.' },
  ],
]

/** ARCHITECTURE.md between its two marks, made from the list: `node test/contract/write-rooms.mjs` writes it. */
export function roomsText(): string {
  const rooms = ROOMS.flat()
  const table = rooms.map(({ path, purpose }) => `| \`src/${path}${path.endsWith('.ts') ? '' : '/'}\` | ${purpose} |`)
  const floors = ROOMS.map(floor => `  ${floor.map(({ path }) => path.replace(/\.ts$/, '')).join(' · ')}`).reverse()
  return [
    '| room | purpose |',
    '|---|---|',
    ...table,
    '',
    'Each room stands on those below it, and a module may import only from its own room and from rooms of lower floors, or from',
    'rooms that are further left on its own:',
    '',
    '```',
    ...floors,
    '```',
    '',
  ].join('\n')
}
