/** `README.txt`: how to check and load a bundle with only the tools that every host has. */

export const README_FILE = 'README.txt'

const CHECK = `CHECK IT
  Linux, inside this directory (coreutils or busybox; every line must end in OK):
      sha256sum -c SHA256SUMS
  macOS:
      shasum -a 256 -c SHA256SUMS
  Windows PowerShell:
      Get-Content SHA256SUMS | ForEach-Object {
        $hash, $file = $_ -split '  ', 2
        if ((Get-FileHash -Algorithm SHA256 $file).Hash -ne $hash) { "FAILED $file" }
      }
  If the bundle is one file, unpack it into an empty directory first: tar -xf BUNDLE.tar
`

/** The same for every whole bundle, so its size is known in advance. */
const WHOLE = `This is a bundle of container images. bundle.json lists the images and files in it.
The commands below are all that you need to check it and load it.

${CHECK}
LOAD IT
  If the bundle is one .tar file:
      docker load -i BUNDLE.tar                  (or: podman load -i BUNDLE.tar)
  If it is a directory, inside it:
      tar -cf - oci-layout index.json manifest.json blobs | docker load
  If the bundle holds Windows images and the engine runs on Linux, docker load ends with
  "cannot load windows image on linux". By then it has loaded all the others.

WITH STOWAGE
      stowage verify BUNDLE                      names every file that is wrong, missing or extra
      stowage load BUNDLE                        loads it, checks every byte, and checks what the engine then has

WHAT THE FILES ARE
  oci-layout, index.json, blobs/    an OCI image layout, which skopeo, crane, oras, ctr and podman can read
  manifest.json                     the same images, for docker load
  bundle.json                       every image and file, with sizes and hashes
  SHA256SUMS                        the hashes of all files but itself, for sha256sum

If there is a file named INCOMPLETE, the bundle was not finished. Do not load it.
`

/** The same for every delta. */
const DELTA = `This is a delta: a bundle of container images without what the place that it was packed for had already.
bundle.json lists what is in it, and under "assumes" what is left out. Without that, its images are not complete:
"docker load" and other tools refuse it.

${CHECK}
LOAD IT
  Only Stowage can load it, and only where the rest is. It checks that first, and writes nothing otherwise:
      stowage load BUNDLE
  To check it alone, also somewhere else, with an inventory of the place or a bundle that was loaded there:
      stowage verify BUNDLE --against FILE
  To make a bundle that is whole, for which docker load is enough, from this and a bundle that has the rest:
      stowage merge BASE BUNDLE -o OUTPUT

If there is a file named INCOMPLETE, the bundle was not finished. Do not load it.
`

/** The content of README.txt. */
export function readmeBytes(delta: boolean): Uint8Array {
  return new TextEncoder().encode(delta ? DELTA : WHOLE)
}
