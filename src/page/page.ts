/** The page about a bundle, or about images at any other place: one HTML file that needs nothing else. */
import type { InspectedImage } from '../image/inspection.js'
import { familiarReference, parseReference } from '../oci/reference.js'
import { grouped } from './artifacts.js'
import { checkSection, loadSection } from './commands.js'
import {
  DETAILED_IMAGES,
  type PageAssumption,
  type PageBundle,
  type PageContents,
  type PageFile,
  SHOWN,
  LIST_ROOM,
} from './contents.js'
import { html, type Html, shortened } from './html.js'
import { imageSections, tableOfImages, type ShownImage, within } from './images.js'
import { picture } from './picture.js'
import { sharingOf } from './sharing.js'
import { POLICY, STYLE } from './style.js'
import { numberOf, hash, moment, sizeWords } from './words.js'

/** The same contents give the same bytes. They have at most about 6 MB, whatever the contents. */
export function renderPage(contents: PageContents): Uint8Array {
  const { place, generator, images, size } = contents
  const bundle = place.type === 'bundle' ? place : undefined
  const groups = grouped(images)
  const shown = groups.images.map(({ image, attached }): ShownImage => ({
    image,
    attached,
    title: titleOf(image),
    undelivered: bundle?.undelivered.get(image.root?.digest ?? '') ?? [],
  }))
  const sharing = sharingOf(
    shown.map(({ image }) => image),
    shown.map(({ title }) => title),
    new Set(bundle?.assumes?.layers.map(({ digest }) => digest)),
  )
  const details = shown.length > DETAILED_IMAGES ? undefined : imageSections(shown, sharing)
  const drawn = picture(sharing, details?.count ?? 0)
  const headline = `${imagesWords(shown)}${bundle && bundle.files.length > 0 ? `, ${numberOf(bundle.files.length, 'file')}` : ''}${size === undefined ? '' : `, ${sizeWords(size)}`}`
  const kind = bundle
    ? bundle.assumes
      ? 'Delta of container images'
      : 'Bundle of container images'
    : 'Container images'
  const links = [
    ...(shown.length > 0 ? [['images', 'Images']] : []),
    ...(drawn ? [['layers', 'Layers']] : []),
    ...(bundle
      ? [
          ['check', 'Check it'],
          ['load', 'Load it'],
        ]
      : []),
    ...(details && details.count > 0 ? [['details', 'Details']] : []),
    ...(bundle?.assumes ? [['assumed', 'What it leaves out']] : []),
    ...(bundle && bundle.files.length > 0 ? [['files', 'Files']] : []),
  ]
  const page = html`<!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <title>${headline} – ${kind}</title>
        ${{ markup: `<style>${STYLE}</style>` }}
      </head>
      <body>
        <a class="skip" href="#main">To the contents</a>
        <header>
          <p class="kind">
            ${kind}${place.type === 'location' && html` at <bdi>${shortened(place.location, SHOWN.words)}</bdi>`}
          </p>
          <h1>${headline}</h1>
          ${lead(groups.attached, bundle)}
          <nav aria-label="On this page">
            <ul>
              ${links.map(([id, words]) => html`<li><a href="#${id}">${words}</a></li> `)}
            </ul>
          </nav>
        </header>
        <main id="main" tabindex="-1">
          ${
            shown.length > 0 &&
            html`<section aria-labelledby="images">
              <h2 id="images">Images</h2>
              ${tableOfImages(shown, details?.count ?? 0)}${fewer(shown.length, details?.count ?? 0, bundle)}
            </section> `
          }${drawn}${bundle && checkSection(bundle)}${bundle && loadSection(bundle, hasWindows(shown))}${
            details &&
            details.count > 0 &&
            html`<section aria-labelledby="details">
              <h2 id="details">Details</h2>
              ${details.sections}
            </section> `
          }${bundle?.assumes && assumption(bundle.assumes)}${bundle && bundle.files.length > 0 && fileTable(bundle.files)}
        </main>
        <footer>
          <p>
            Written by ${generator.name}
            ${generator.version}${bundle?.created !== undefined && html`, ${moment(bundle.created)}`}. This page is one
            file, and loads nothing.
          </p>
        </footer>
      </body>
    </html> `
  return new TextEncoder().encode(page.markup)
}

function lead(attached: number, bundle: PageBundle | undefined): Html {
  const also =
    attached > 0 && ` With ${numberOf(attached, 'document')} about them, such as signatures, SBOMs and provenance.`
  if (!bundle) return html`<p class="lead">What the images are, and what they are made of.${also}</p> `
  return html`<p class="lead">What is in this bundle, and how to check and load it.${also}</p>
    ${
      bundle.assumes &&
      html`<div class="note">
        <p>
          This is a delta: it leaves out what its destination has already,
          ${numberOf(bundle.assumes.layers.length, 'layer')}${bundle.assumes.images.length > 0 && html` and ${numberOf(bundle.assumes.images.length, 'whole image')}`}.
          Elsewhere its images are not complete. <a href="#assumed">What it leaves out</a>
        </p>
      </div> `
    }`
}

function fewer(all: number, detailed: number, bundle: PageBundle | undefined): Html | undefined {
  if (detailed === all) return undefined
  const first = detailed === 0 ? '' : ` but the first ${detailed}`
  const where = bundle ? 'BUNDLE' : 'LOCATION'
  return html`<p>
    They are too many for a section each${first}. <code>stowage inspect ${where}</code> describes each of them.
  </p> `
}

function assumption({ sources, images, layers }: PageAssumption): Html {
  const roots = within(images, LIST_ROOM, ({ names, roots: [root = ''], size }) => {
    const title = shortened(names[0] ?? root, SHOWN.words)
    return html`<tr>
      <th scope="row"><bdi>${title}</bdi>${names.length > 0 && html`<br />${hash(root)}`}</th>
      <td data-label="Size" class="number">${sizeWords(size)}</td>
    </tr> `
  })
  const blobs = within(
    layers,
    LIST_ROOM,
    ({ digest, size }) =>
      html`<tr>
        <th scope="row">${hash(digest)}</th>
        <td data-label="Size" class="number">${sizeWords(size)}</td>
      </tr> `,
  )
  const table = (
    noun: string,
    { kept, left }: { readonly kept: readonly Html[]; readonly left: number },
  ): Html | undefined =>
    kept.length === 0
      ? undefined
      : html`<table class="stack">
            <thead>
              <tr>
                <th scope="col">${noun}</th>
                <th scope="col" class="number">Size</th>
              </tr>
            </thead>
            <tbody>
              ${kept}
            </tbody>
          </table>
          ${left > 0 && html`<p>And ${left} more.</p> `}`
  return html`<section aria-labelledby="assumed">
    <h2 id="assumed">What it leaves out</h2>
    <p>
      It was made for ${sources.length === 1 ? 'a place' : 'places'} that ${sources.length === 1 ? 'has' : 'have'} all
      of this, according to:
    </p>
    <ul>
      ${sources.slice(0, 200).map(({ place, digest, site }) => html`<li>${site !== undefined && html`Site ${site}: `}<bdi>${shortened(place, SHOWN.words)}</bdi><br />${hash(digest)}</li> `)}
    </ul>
    ${table('Whole image', roots)}${table('Layer', blobs)}
  </section> `
}

function fileTable(files: readonly PageFile[]): Html {
  const { kept, left } = within(
    files,
    LIST_ROOM,
    ({ path, size, digest }) =>
      html`<tr>
        <th scope="row"><bdi>${path}</bdi><br />${hash(digest)}</th>
        <td data-label="Size" class="number">${sizeWords(size)}</td>
      </tr> `,
  )
  return html`<section aria-labelledby="files">
    <h2 id="files">Files</h2>
    <p>Carried besides the images.</p>
    <table class="stack">
      <thead>
        <tr>
          <th scope="col">File</th>
          <th scope="col" class="number">Size</th>
        </tr>
      </thead>
      <tbody>
        ${kept}
      </tbody>
    </table>
    ${left > 0 && html`<p>And ${left} more.</p> `}
  </section> `
}

function titleOf({ names, root, id, wim }: InspectedImage): string {
  const [name] = names
  const short = name === undefined ? undefined : familiarReference(parseReference(name))
  return shortened(short ?? wim?.name ?? root?.digest ?? id ?? 'an image without a name', SHOWN.words)
}

/** `3 images`, `2 images and 1 artifact`, `no images`. */
function imagesWords(shown: readonly ShownImage[]): string {
  const artifacts = shown.filter(({ image }) => image.platforms.length === 0 && image.others.length > 0).length
  const images = shown.length - artifacts
  const words = [
    ...(images > 0 ? [numberOf(images, 'image')] : []),
    ...(artifacts > 0 ? [numberOf(artifacts, 'artifact')] : []),
  ]
  return words.join(' and ') || 'No images'
}

function hasWindows(shown: readonly ShownImage[]): boolean {
  return shown.some(({ image }) => image.platforms.some(({ platform }) => platform.os === 'windows'))
}
