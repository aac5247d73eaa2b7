/** The images of a page: a table of all, and a section for each. */
import type { InspectedImage, InspectedManifest, InspectedPlatform } from '../image/inspection.js'
import { formatPlatform } from '../oci/platform.js'
import { type Attached, kindOf } from './artifacts.js'
import { DETAILS_ROOM, SHOWN, TABLE_ROOM } from './contents.js'
import { html, type Html, shortened } from './html.js'
import { layerKey, type Sharing } from './sharing.js'
import { address, breakable, numberOf, exactWords, type Fact, facts, hash, moment, said, sizeWords } from './words.js'

export interface ShownImage {
  readonly image: InspectedImage
  /** What it is called on the page. */
  readonly title: string
  readonly attached: readonly Attached[]
  /** Digests of what describes it and was left behind. */
  readonly undelivered: readonly string[]
}

/** A row for each image, as many as have room. `linked`: how many of them have a section. */
export function tableOfImages(images: readonly ShownImage[], linked: number): Html {
  const { kept, left } = within(images, TABLE_ROOM, ({ image, title }, n) => {
    const { platforms, size, root, id } = image
    const name = n < linked ? html`<a href="#image-${n + 1}">${breakable(title)}</a>` : html`${breakable(title)}`
    const digest = n < linked ? undefined : (root?.digest ?? id)
    const names = platforms.map(({ platform }) => formatPlatform(platform))
    const [first] = platforms.map(({ created }) => created)
    return html`<tr>
      <th scope="row">${name}${digest !== undefined && html`<br />${hash(digest)}`}</th>
      <td>${names.length > 0 ? breakable(listed(names, 4)) : '–'}</td>
      <td>${size === undefined ? '–' : sizeWords(size)}</td>
      <td>${first === undefined ? '–' : moment(first, true)}</td>
    </tr> `
  })
  return html`<table class="stack images">
      <thead>
        <tr>
          <th scope="col">Image</th>
          <th scope="col">Platforms</th>
          <th scope="col">Size</th>
          <th scope="col">Created</th>
        </tr>
      </thead>
      <tbody>
        ${kept}
      </tbody>
    </table>
    ${left > 0 && html`<p>And ${numberOf(left, 'more image')}, for which this page has no room.</p> `}`
}

/** A section for each image, as many as have room, and how many those are. */
export function imageSections(
  images: readonly ShownImage[],
  sharing: Sharing,
): { readonly sections: readonly Html[]; readonly count: number } {
  const { kept } = within(images, DETAILS_ROOM, (shown, n) => section(shown, n, sharing))
  return { sections: kept, count: kept.length }
}

/** What `make` gives for the first of them, until they take more than `room`; and how many are left. */
export function within<T>(
  items: readonly T[],
  room: number,
  make: (item: T, n: number) => Html,
): { readonly kept: readonly Html[]; readonly left: number } {
  const kept: Html[] = []
  let taken = 0
  for (const [n, item] of items.entries()) {
    const made = make(item, n)
    taken += made.markup.length
    if (taken > room) break
    kept.push(made)
  }
  return { kept, left: items.length - kept.length }
}

function section({ image, title, attached, undelivered }: ShownImage, n: number, sharing: Sharing): Html {
  const { names, root, id, size, platforms, absent, wim } = image
  const [only, ...rest] = platforms
  const single = rest.length === 0 ? only : undefined
  return html`<article class="image" id="image-${n + 1}" aria-labelledby="image-${n + 1}-name">
    <h3 id="image-${n + 1}-name">${breakable(title)}</h3>
    ${facts([
      { name: names.length > 1 ? 'Names' : 'Name', value: names.length > 0 ? lines(names, SHOWN.names) : undefined },
      { name: 'Digest', value: root && hash(root.digest) },
      { name: 'Image ID', value: id === undefined ? undefined : hash(id) },
      { name: 'Size', value: size === undefined ? undefined : html`${exactWords(size)}` },
      { name: 'Platforms', value: rest.length > 0 ? html`${numberOf(platforms.length, 'platform')}` : undefined },
      { name: 'Artifact type', value: root?.artifactType === undefined ? undefined : said(root.artifactType) },
      { name: 'WIM', value: wim && html`<bdi>${wim.path}</bdi>, image ${wim.index}` },
      {
        name: 'Not here',
        value:
          absent.length > 0
            ? lines(
                absent.map(({ platform, digest }) => (platform ? formatPlatform(platform) : digest)),
                SHOWN.others,
              )
            : undefined,
      },
      ...provenance([
        root?.annotations,
        ...platforms.flatMap(({ labels, manifest }) => [manifest?.annotations, labels]),
      ]),
    ])}${attached.length > 0 && attachedList(attached, platforms)}${
      undelivered.length > 0 &&
      html`<p class="soft">
        ${numberOf(undelivered.length, 'document')} that ${undelivered.length === 1 ? 'describes' : 'describe'} the
        whole index ${undelivered.length === 1 ? 'was' : 'were'} left behind, as the index is not here.
      </p> `
    }${
      root &&
      Object.keys(root.annotations).length > 0 &&
      root.digest !== single?.manifest?.digest &&
      pairs('annotation', root.annotations)
    }${platforms.slice(0, SHOWN.platforms).map(platform => platformPart(platform, single === undefined, root, sharing))}${
      platforms.length > SHOWN.platforms && html`<p>And ${platforms.length - SHOWN.platforms} more platforms.</p> `
    }
  </article> `
}

const PROVENANCE: readonly (readonly [string, string])[] = [
  ['title', 'Title'],
  ['description', 'Description'],
  ['version', 'Version'],
  ['source', 'Source'],
  ['revision', 'Revision'],
  ['url', 'Home page'],
  ['documentation', 'Documentation'],
  ['vendor', 'Vendor'],
  ['authors', 'Authors'],
  ['licenses', 'Licenses'],
  ['base.name', 'Made from'],
  ['base.digest', 'Digest of that'],
]

/** What annotations and labels of the OCI image-spec say of where the image comes from, each value once. */
function provenance(sources: readonly (Readonly<Record<string, string>> | undefined)[]): readonly Fact[] {
  return PROVENANCE.map(([key, name]): Fact => {
    const found = sources.flatMap(source => source?.[`org.opencontainers.image.${key}`] ?? [])
    const values = [...new Set(found)].filter(value => value.trim() !== '').slice(0, 5)
    return { name, value: values.length === 0 ? undefined : joined(values.map(address), BREAK) }
  })
}

function attachedList(attached: readonly Attached[], platforms: readonly InspectedPlatform[]): Html {
  const shown = attached.slice(0, SHOWN.others)
  return html`<h4>Signatures, SBOMs and provenance</h4>
    <ul class="attached">
      ${shown.map(({ artifact, about }) => {
        const described = platforms.find(({ manifest }) => manifest?.digest === about)
        const type = artifact.predicateTypes?.join(', ') ?? artifact.manifest.artifactType
        return html`<li>
          ${kindOf(artifact)}${described && platforms.length > 1 && html` of ${formatPlatform(described.platform)}`},
          ${sizeWords(artifact.size)}${
            type !== undefined && html` <small><bdi>${shortened(type, SHOWN.words)}</bdi></small>`
          }<br />${hash(artifact.manifest.digest)}
        </li> `
      })}
    </ul>
    ${attached.length > shown.length && html`<p>And ${attached.length - shown.length} more.</p> `}`
}

function platformPart(
  image: InspectedPlatform,
  several: boolean,
  root: InspectedManifest | undefined,
  sharing: Sharing,
): Html {
  const { platform, manifest, config, size, created, author, user, entrypoint, cmd, exposedPorts, labels } = image
  const starts = [...entrypoint, ...cmd]
  const list = facts([
    { name: 'Platform', value: several ? undefined : html`${formatPlatform(platform)}` },
    { name: 'Manifest', value: manifest && manifest.digest !== root?.digest ? hash(manifest.digest) : undefined },
    { name: 'Config', value: config && hash(config.digest) },
    { name: 'Size', value: several && size !== undefined ? html`${exactWords(size)}` : undefined },
    { name: 'Created', value: created === undefined ? undefined : moment(created) },
    { name: 'Author', value: author === undefined ? undefined : said(author) },
    {
      name: 'Runs',
      value: starts.length > 0 ? html`<code>${shortened(JSON.stringify(starts), SHOWN.text)}</code>` : undefined,
    },
    { name: 'User', value: user === undefined ? undefined : said(user) },
    { name: 'Ports', value: exposedPorts.length > 0 ? html`${listed(exposedPorts, 20)}` : undefined },
  ])
  return html`${
    several &&
    html`<div class="platform">
      <h4>${formatPlatform(platform)}</h4>
    </div> `
  }${list}${
    manifest && Object.keys(manifest.annotations).length > 0 && pairs('annotation', manifest.annotations)
  }${Object.keys(labels).length > 0 && pairs('label', labels)}${layerList(image, sharing)}${several && html`</div>\n`}`
}

function pairs(noun: string, values: Readonly<Record<string, string>>): Html {
  const all = Object.entries(values)
  const shown = all.slice(0, SHOWN.labels)
  const list = facts(
    shown.map(([name, value]) => ({ name: shortened(name, SHOWN.words), value: address(value) })),
    'facts pairs',
  )
  return html`<details>
    <summary>${numberOf(all.length, noun)}</summary>
    ${list}${all.length > shown.length && html`<p>And ${all.length - shown.length} more.</p> `}
  </details> `
}

function layerList({ layers, history }: InspectedPlatform, sharing: Sharing): Html | undefined {
  if (layers.length === 0) return undefined
  const steps = history.filter(({ emptyLayer }) => !emptyLayer)
  const shown = layers.slice(0, SHOWN.layers)
  const total = layers.reduce((sum, { size }) => sum + (size ?? 0), 0)
  return html`<details>
    <summary>${numberOf(layers.length, 'layer')}${total > 0 && html`, ${sizeWords(total)}`}</summary>
    <ol class="layers">
      ${shown.map((layer, n) => {
        const { digest, diffId, size, urls } = layer
        const letter = sharing.partOf(layerKey(layer))?.letter
        // Configs may have another number of steps: then nobody knows which made which layer
        const step = steps.length === layers.length ? steps[n]?.createdBy : undefined
        return html`<li>
          <p>
            ${size === undefined ? '–' : sizeWords(size)}${letter !== undefined && html` <span class="soft">${letter}</span>`}
          </p>
          <div>
            ${
              digest !== undefined && html`<p>${hash(digest)}</p>`
            }${diffId !== undefined && diffId !== digest && html`<p class="soft">diffID ${hash(diffId)}</p>`}${
              urls && html`<p class="soft">from ${joined(urls.slice(0, 3).map(address), BREAK)}</p>`
            }${
              step !== undefined &&
              html`<p class="step">
                <code><bdi>${shortened(step, SHOWN.words)}</bdi></code>
              </p>`
            }
          </div>
        </li> `
      })}
    </ol>
    ${layers.length > shown.length && html`<p>And ${layers.length - shown.length} more.</p> `}
  </details> `
}

/** Each on a line of its own, as many as may be shown. */
function lines(words: readonly string[], most: number): Html {
  const more = words.length > most ? [html`and ${words.length - most} more`] : []
  return joined([...words.slice(0, most).map(said), ...more], BREAK)
}

const BREAK: Html = { markup: '<br>' }

function joined(parts: readonly Html[], between: Html): Html {
  return html`${parts.map((part, n) => (n === 0 ? part : html`${between}${part}`))}`
}

/** The first of them, and how many more there are. */
function listed(words: readonly string[], most: number): string {
  const shown = words.slice(0, most).map(word => shortened(word, SHOWN.words))
  return shown.join(', ') + (words.length > most ? ` and ${words.length - most} more` : '')
}
