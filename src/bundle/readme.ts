/** `README.txt`: how to check and load a bundle with only the tools that every host has. */

export const README_FILE = 'README.txt'

/** The same for every bundle, so its size is known in advance. */
export const README_TEXT = `This is a bundle of container images. bundle.json lists the images and files in it.
The commands below are all that you need to check it and load it.

CHECK IT
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
