/** The rooms of `src/` from the ground up: the single list that the imports test checks and ARCHITECTURE.md is generated from. */

export interface Room {
  /** A folder or a file below `src/`. A folder within a folder is a room of its own if it is listed. */
  readonly path: string
  /** Its purpose, in one sentence. */
  readonly purpose: string
}

/** A module may import from its own room and from rooms listed before it. */
export const ROOMS: readonly (readonly Room[])[] = [
  [
    { path: 'mounts.ts', purpose: 'Which file systems were mounted and no longer are.' },
    { path: 'errors.ts', purpose: 'The error class and its codes.' },
    { path: 'progress.ts', purpose: 'The union of progress events, and the reporting of waits.' },
    { path: 'package-root.ts', purpose: 'Where the package is: a checkout, an installation, or a kit.' },
    { path: 'load-failure.ts', purpose: 'Why the addon cannot be loaded, and what helps.' },
    { path: 'native.ts', purpose: 'Finds and loads the addon; no other module knows its file.' },
    { path: 'compressors.ts', purpose: 'The releases of what the addon compresses with.' },
    { path: 'node-version.ts', purpose: 'The versions of Node.js that Stowage runs on.' },
    { path: 'size-text.ts', purpose: 'Sizes in words.' },
    { path: 'nearest-word.ts', purpose: 'Finds the word that a misspelled one was probably meant to be.' },
  ],
  [
    {
      path: 'oci',
      purpose:
        'The OCI types and pure functions on them: digest, descriptor, manifest, config, platform, reference, layout; compression formats in one table; parsing untrusted JSON.',
    },
    { path: 'generator.ts', purpose: 'The program name and version recorded in bundles.' },
    {
      path: 'windows',
      purpose:
        'Windows formats that layers and WIMs share: FILETIME, reparse points, security descriptors, also in SDDL, extended attributes, hives; the limits of NTFS and its case folding, from a generated table.',
    },
  ],
  [
    {
      path: 'blob',
      purpose:
        'Content-addressed blobs: the blob store interface, `verified()`, blobs as files in a directory, the closure of an image; the workspace for temporary files.',
    },
    { path: 'tar', purpose: 'Headers of the tars we write, and the member list of a tar we read.' },
    {
      path: 'wim',
      purpose:
        'The TypeScript API of the addon: an open WIM and its operations, options, progress, errors; update scripts and source lists; mounting.',
    },
  ],
  [
    {
      path: 'signature',
      purpose:
        'Keys, signatures and who is trusted: reading and making keys, signing, checking, sigstore bundles, the policy of a site.',
    },
    {
      path: 'custody',
      purpose: 'Logs of what was done: appending, checking, merging; each entry names the one before by its hash.',
    },
    { path: 'http', purpose: 'Requests: connection pools, proxies, certificates, retries, downloads that resume.' },
    {
      path: 'archive',
      purpose:
        "Image archives from any tool: members by name, in place or spooled; docker's list of images; outer compression; the heads and the writer of our own archives.",
    },
    {
      path: 'volumes',
      purpose: 'A tar cut into numbered files: their descriptions, finding, reading, writing and checking them.',
    },
    {
      path: 'layer',
      purpose: 'Shared by the layer rooms: how a layer is compressed, and where it is written.',
    },
    {
      path: 'recovery',
      purpose:
        'Recovery sets in PAR2 files, of any files: their packets, making a set, reading one, finding and repairing damage.',
    },
  ],
  [
    {
      path: 'engine',
      purpose:
        'The Docker Engine API: finding the engine, its image store, the archive sent to it, verification of a load, exports.',
    },
    {
      path: 'registry',
      purpose: 'Registries, following the OCI distribution-spec: credentials and tokens, reading and writing.',
    },
    {
      path: 'layer/read',
      purpose: 'Any layer, read entry by entry: checked against the rules of Windows hosts, inspected, compared.',
    },
  ],
  [
    {
      path: 'layer/make',
      purpose:
        'Layers made from WIM images and directories: planning names, order and PAX records, and running the plan.',
    },
    { path: 'layer/to-wim', purpose: 'Applying layers to make the images of a WIM.' },
    {
      path: 'layer/difference',
      purpose: 'Layers made from WIM images that hold only what differs from other layers, or from another WIM.',
    },
  ],
  [
    {
      path: 'image',
      purpose:
        'The interfaces that images are read from, written to and stored in; selecting images; their referrers and identity.',
    },
  ],
  [
    {
      path: 'page',
      purpose: 'The page about a bundle or about images elsewhere: a description goes in, one HTML file comes out.',
    },
  ],
  [
    {
      path: 'bundle',
      purpose: 'The bundle: manifest, checksums, heads, reader, verification, and a writer for a directory or a tar.',
    },
  ],
  [
    {
      path: 'transport',
      purpose:
        'Locations, and one folder for each transport: its grammar, source, destination, store, inspection and capabilities. `list.ts` is the only list of transports.',
    },
  ],
  [
    {
      path: 'transfer',
      purpose:
        'The copy engine: `Transfer` opens both ends, selects images, platforms, foreign layers and referrers, writes, finishes, and undoes a failed copy; its options, declared once.',
    },
  ],
  [
    {
      path: 'delta',
      purpose:
        'Deltas: the file of an inventory; what inventories and bundles say that a destination has, and what a bundle can leave out; comparing two places.',
    },
  ],
  [
    {
      path: 'verbs',
      purpose:
        'Pack, protect, repair, copy, load, inventory, diff, merge, pull, push, inspect, images, history, tag, remove, commit, prune: the policy and the result of each.',
    },
  ],
  [
    {
      path: 'serve',
      purpose: 'Bundles and layouts as a read-only registry: names, ranges, verification, access.',
    },
    {
      path: 'base-image',
      purpose:
        'Windows base OS images: registered sources and their catalogs, selecting an image; saving, checking and installing it; whether a host can run it.',
    },
    {
      path: 'images-file',
      purpose: '`images.yaml`: its format, resolving tags to digests, the lock, packing from it.',
    },
    { path: 'kit', purpose: 'Stowage itself for a stick: Node.js for each platform, launchers, checksums.' },
  ],
  [
    { path: 'cli', purpose: 'The commands: each parses its arguments, makes one library call, and prints the result.' },
    { path: 'supported-node.ts', purpose: 'Refuses, when the library is imported, a Node.js that is too old.' },
    { path: 'index.ts', purpose: 'The public API, listed name by name.' },
  ],
]

/** The section of ARCHITECTURE.md between its two markers; `node test/contract/write-rooms.mjs` writes it. */
export function roomsText(): string {
  const rooms = ROOMS.flat()
  const table = rooms.map(({ path, purpose }) => `| \`src/${path}${path.endsWith('.ts') ? '' : '/'}\` | ${purpose} |`)
  const floors = ROOMS.map(floor => `  ${floor.map(({ path }) => path.replace(/\.ts$/, '')).join(' · ')}`).reverse()
  return [
    '| room | purpose |',
    '|---|---|',
    ...table,
    '',
    'Rooms build on those below them: a module may import only from its own room, from rooms on lower floors, and from rooms',
    'further left on its own floor:',
    '',
    '```',
    ...floors,
    '```',
    '',
  ].join('\n')
}
