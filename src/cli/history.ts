/** `stowage history`: shows how an image was made, what it is based on and what is based on it. */
import { command, flag, required } from './command.js'
import { formatFullName } from '../oci/image-identity.js'
import { type ImageHistory, imageHistory } from '../verbs/history.js'
import type { HistoryStep, StoredImage } from '../image/image-store.js'
import type { DependentTree } from '../image/lineage.js'
import { formatAgo } from './duration.js'
import { shortDigest } from './image-names.js'
import { storedImageDocument } from './images.js'
import { refuseLocations, withStore } from './locations.js'
import { printable, table } from './render.js'
import { formatSize } from '../size-text.js'
import { familiar, noteStore, storeOptions } from './store-options.js'

/** Characters of a step that docker shows. */
const SHOWN = 45

export const history = command({
  operands: {
    image: required('NAME[:TAG|@DIGEST] or ID', 'image'),
  },
  options: {
    ...storeOptions(),
    tree: flag('Show the images it is based on, and all images based on it'),
    quiet: flag('Only IDs', { alias: 'q' }),
    trunc: flag('Shorten long values; --no-trunc shows them in full', { default: true }),
    human: flag('Human-readable sizes and times; --human=false prints bytes and timestamps', { default: true }),
  },
  examples: [
    ['history shop:2.3', 'Step by step, newest first'],
    ['history --tree nanoserver', 'The images based on a base OS image'],
  ],
  run: async ({ image, tree, trunc, human, store, host, ...options }, session) => {
    await refuseLocations([image], withStore('history', 'NAME'))
    const found = await imageHistory(image, { store, host, signal: session.signal, onProgress: session.onProgress })
    noteStore(store, found.store, session)
    const text = tree
      ? treeText(found, { trunc, quiet: options.quiet })
      : options.quiet
        ? idsText(found.steps, trunc)
        : stepsText(found.steps, { trunc, human })
    session.report(
      {
        schema: 'stowage.history/v1',
        store: found.store,
        image: storedImageDocument(found.image),
        steps: found.steps,
        chain: found.chain.map(storedImageDocument),
        dependents: found.dependents.map(treeDocument),
      },
      text,
    )
  },
})

function stepsText(
  steps: readonly HistoryStep[],
  { trunc, human }: { readonly trunc: boolean; readonly human: boolean },
): string {
  return table(
    ['IMAGE', 'CREATED', 'CREATED BY', 'SIZE', 'COMMENT'],
    steps.map(({ id, created, createdBy, size, comment }) => {
      const by = [...createdBy.replaceAll('\t', ' ')]
      return [
        shownId(id, trunc),
        human ? formatAgo(created) : (created ?? 'N/A'),
        trunc && by.length > SHOWN ? `${by.slice(0, SHOWN - 1).join('')}…` : by.join(''),
        human ? formatSize(size) : String(size),
        comment,
      ]
    }),
  )
}

function idsText(steps: readonly HistoryStep[], trunc: boolean): string {
  return steps.map(({ id }) => `${shownId(id, trunc)}\n`).join('')
}

function shownId(id: string | undefined, trunc: boolean): string {
  return id === undefined ? '<missing>' : trunc ? shortDigest(id) : id
}

/** The images from the lowest base up to this one, then all images based on it. */
function treeText(
  { image, chain, dependents }: ImageHistory,
  { trunc, quiet }: { readonly trunc: boolean; readonly quiet: boolean },
): string {
  const line = (each: StoredImage): string => {
    const id = shownId(each.id, trunc)
    if (quiet) return id
    const names = [...each.names.map(familiar), ...each.refNames]
    const full = each.isOSImage ? ` ${formatFullName(each)}` : ''
    return `${names.length === 0 ? '<none>' : names.join(', ')} ${id} ${formatSize(each.size)}${full}${each.id === image.id ? ' <' : ''}`
  }
  const below = (trees: readonly DependentTree[], indent: string): string =>
    trees
      .map(({ image: each, dependents: next }, n) => {
        const last = n === trees.length - 1
        return `${indent}${last ? '└─ ' : '├─ '}${line(each)}\n${below(next, `${indent}${last ? '   ' : '│  '}`)}`
      })
      .join('')
  const whole = chain.reduceRight<readonly DependentTree[]>(
    (above, each, n) => [{ image: each, dependents: n === chain.length - 1 ? dependents : above }],
    [],
  )
  return printable(whole.map(tree => `${line(tree.image)}\n${below(tree.dependents, '')}`).join(''))
}

function treeDocument({ image, dependents }: DependentTree): Readonly<Record<string, unknown>> {
  return { ...storedImageDocument(image), dependents: dependents.map(treeDocument) }
}
