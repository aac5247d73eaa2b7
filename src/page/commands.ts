/** How to check and load a bundle, as a page says it. */
import { sumsName, volumeName } from '../volumes/description.js'
import type { PageBundle, PageVolumes } from './contents.js'
import { html, type Html } from './html.js'
import { numberOf, sizeWords } from './words.js'

/** Volumes that a command names one by one. */
const MOST_NAMED = 30

export function checkSection({ keys, ...bundle }: PageBundle): Html {
  const { volumes, name, tar } = namesOf(bundle)
  return html`<section aria-labelledby="check">
    <h2 id="check">Check it</h2>
    <p>Every file of the bundle is listed with its SHA-256. A copy that went wrong shows before anything is loaded.</p>
    <h3>With Stowage</h3>
    <pre tabindex="0"><code>stowage verify ${name}</code></pre>
    ${volumes ? checkVolumes(volumes) : checkFiles(tar)} ${signatures(keys)}
  </section> `
}

/** `windows`: whether it has images for Windows. */
export function loadSection({ assumes, ...bundle }: PageBundle, windows: boolean): Html {
  const { volumes, name, tar, known } = namesOf(bundle)
  const one = html`<pre tabindex="0"><code>stowage load ${name}</code></pre>`
  if (assumes) {
    return html`<section aria-labelledby="load">
      <h2 id="load">Load it</h2>
      <p>
        Only Stowage can load a delta, and only where the rest is. It checks that first, and writes nothing otherwise.
      </p>
      ${one}
      <p>To check it alone, with an inventory of the place or a bundle that was loaded there:</p>
      <pre tabindex="0"><code>stowage verify ${name} --against FILE</code></pre>
      <p>To make a bundle that is whole, for which <code>docker load</code> is enough:</p>
      <pre tabindex="0"><code>stowage merge BASE ${name} -o OUTPUT</code></pre>
    </section> `
  }
  return html`<section aria-labelledby="load">
    <h2 id="load">Load it</h2>
    <h3>With Stowage</h3>
    <p>It checks every byte on the way, and then what the engine has.</p>
    ${one}
    <h3>Without Stowage, on Linux</h3>
    ${
      volumes
        ? html`<pre tabindex="0"><code>cat ${joinable(volumes)} | docker load</code></pre>`
        : html`${!known && html`<p>If the bundle is one .tar file:</p>`}
            <pre tabindex="0"><code>docker load -i ${tar}</code></pre>
            ${
              !known &&
              html`<p>If it is a directory, inside it:</p>
                <pre tabindex="0"><code>tar -cf - oci-layout index.json manifest.json blobs | docker load</code></pre>`
            }`
    }
    <p>Podman takes the same: <code>podman load -i ${tar}</code>.</p>
    <h3>Without Stowage, on Windows</h3>
    ${
      volumes
        ? html`<pre tabindex="0"><code>cmd /c copy /b ${volumeNames(volumes).join('+')} ${volumes.name}
docker load -i ${volumes.name}</code></pre>`
        : html`<pre tabindex="0"><code>docker load -i ${tar}</code></pre>
            ${
              !known &&
              html`<p>If it is a directory, inside it:</p>
                <pre tabindex="0"><code>tar -cf ..\\BUNDLE.tar oci-layout index.json manifest.json blobs
docker load -i ..\\BUNDLE.tar</code></pre>`
            }`
    }
    ${
      windows &&
      html`<p>
        It holds images for Windows. An engine on Linux loads the others first, and then says “cannot load windows image
        on linux”.
      </p> `
    }
  </section> `
}

/** What commands call the bundle, and whether that is its name. A name that a shell would not take as one word is not. */
function namesOf({ volumes, tar }: Pick<PageBundle, 'volumes' | 'tar'>): {
  readonly volumes: PageVolumes | undefined
  readonly name: string
  readonly tar: string
  readonly known: boolean
} {
  const found = volumes?.name ?? tar
  const word = found !== undefined && /^[0-9A-Za-z][0-9A-Za-z._+@-]*$/.test(found) ? found : 'BUNDLE.tar'
  if (!volumes) return { volumes, name: found === undefined ? 'BUNDLE' : word, tar: word, known: found !== undefined }
  const named = { ...volumes, name: word }
  return { volumes: named, name: volumeName(word, 1, named.count), tar: word, known: true }
}

function checkFiles(tar: string): Html {
  return html`<h3>Without Stowage, on Linux</h3>
    <p>Inside the bundle, as a directory; every line must end in OK.</p>
    <pre tabindex="0"><code>sha256sum -c SHA256SUMS</code></pre>
    <h3>Without Stowage, on Windows</h3>
    <p>In PowerShell, inside the bundle; it names every file that is wrong.</p>
    <pre tabindex="0"><code>${powershell('SHA256SUMS')}</code></pre>
    <p>If the bundle is one .tar file, unpack it into an empty directory first: <code>tar -xf ${tar}</code>.</p> `
}

function checkVolumes({ name, count, size, total }: PageVolumes): Html {
  const list = sumsName(name)
  return html`<p>It is one tar of ${sizeWords(total)} in ${numberOf(count, 'volume')} of at most ${sizeWords(size)}.</p>
    <h3>Without Stowage, on Linux</h3>
    <p>Where all volumes are; every line must end in OK.</p>
    <pre tabindex="0"><code>sha256sum -c ${list}</code></pre>
    <h3>Without Stowage, on Windows</h3>
    <p>In PowerShell, where all volumes are; it names every volume that is wrong.</p>
    <pre tabindex="0"><code>${powershell(list)}</code></pre> `
}

function signatures(keys: readonly string[]): Html {
  const said =
    keys.length === 0
      ? html`<p>
          This page, like the lists, shows whether the bundle is intact, not who made it: whoever can change the bundle
          can change them, too. To be sure of that, compare the SHA-256 of <code>bundle.json</code> with one that came
          another way.
        </p> `
      : html`<p>
            The bundle says that it is signed by ${keys.length === 1 ? 'this key' : 'these keys'}; this page has not
            checked that. Check it with the public key, which must have come to you another way than the bundle.
          </p>
          <ul>
            ${keys.slice(0, 100).map(key => html`<li><code>${key}</code></li> `)}
          </ul>
          <pre tabindex="0"><code>stowage verify BUNDLE --key KEY.pub</code></pre>
          <p>With openssl, for an ECDSA key, where bundle.json is:</p>
          <pre
            tabindex="0"
          ><code>openssl dgst -sha256 -verify KEY.pub -signature bundle.json.sig bundle.json</code></pre> `
  return html`<h3>Who made it</h3>
    ${said}`
}

/** What a shell expands to all volumes: a set of more than 99 has a zero first. */
function joinable({ name }: PageVolumes): string {
  return `${name}.0*`
}

function volumeNames({ name, count }: PageVolumes): readonly string[] {
  const all = Array.from({ length: Math.min(count, MOST_NAMED) }, (_, n) => volumeName(name, n + 1, count))
  return count > MOST_NAMED ? [...all, '…', volumeName(name, count, count)] : all
}

/** The lines of the list `sha256sum` writes, checked by what Windows has. */
function powershell(list: string): string {
  return `Get-Content ${list} | ForEach-Object {
  $hash, $file = $_ -split '  ', 2
  if ((Get-FileHash -Algorithm SHA256 $file).Hash -ne $hash) { "FAILED $file" }
}`
}
