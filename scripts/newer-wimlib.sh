#!/usr/bin/env bash
# Runs the WIM tests with the libwim of a newer Debian (1.14: fuse3, no libxml2), in a root of that suite made by debootstrap,
# with that suite's own Node.js, compiler and wimlib-imagex. The root is made once and kept; what the checkout holds is copied
# into it each time. Needs root, debootstrap and /dev/fuse.
#   scripts/newer-wimlib.sh ROOT [TEST…]    TEST: files or directories below test/, those of WIMs and layers when left out
# Knobs: SUITE (forky), MIRROR (the one of this machine's apt), COMMIT (test that commit, not the files as they are)
set -euo pipefail

usage='usage: scripts/newer-wimlib.sh ROOT [TEST…]'
root=$(realpath -m -- "${1:?$usage}")
shift
suite=${SUITE:-forky}
checkout=$(cd "$(dirname "$0")/.." && pwd)
packages=wimtools,libwim-dev,libdeflate-dev,libssl-dev,libzstd-dev,liblzma-dev,nodejs,libnode-dev,g++,make,python3,pkgconf,ntfs-3g,attr,fuse3,man-db,ca-certificates,libarchive-tools,zstd,xz-utils

if [ -z "${STOWAGE_OWN_MOUNTS:-}" ]; then
  mkdir -p "$(dirname "$root")"
  # One run at a time in one root; --close, because a process that serves a mount would keep the lock. A mount namespace of
  # its own: what is mounted below the root, by the tests too, goes when this process does.
  STOWAGE_OWN_MOUNTS=1 exec flock --close "$root.lock" unshare --mount --propagation private "$0" "$root" "$@"
fi

make_root() {
  local mirror=${MIRROR:-} script=
  if [ -z "$mirror" ]; then
    mirror=$(sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+).*/\2/p' \
      /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1 || true)
  fi
  # A debootstrap that is older than the suite does not know its name; sid's script fits all.
  if [ ! -e "/usr/share/debootstrap/scripts/$suite" ]; then script=/usr/share/debootstrap/scripts/sid; fi
  echo "newer-wimlib: making $root of $suite once, about a minute and a half"
  mkdir -p "$root"
  if ! debootstrap --variant=minbase --include="$packages" "$suite" "$root" ${mirror:+"$mirror"} $script >"$root.log" 2>&1; then
    tail -n 5 "$root.log" >&2
    exit 1
  fi
  rm -rf "$root.log" "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  echo "$packages" >"$root/.made"
}

# A root made when fewer packages were needed gets the others. A mirror may be older than its own promise, as for debootstrap.
complete_root() {
  if [ "$(cat "$root/.made")" = "$packages" ]; then return; fi
  if ! { chroot "$root" apt-get -qq -o Acquire::Check-Valid-Until=false update && chroot "$root" apt-get -qqy --no-install-recommends install ${packages//,/ }; } >"$root.log" 2>&1; then
    tail -n 5 "$root.log" >&2
    exit 1
  fi
  echo "$packages" >"$root/.made"
}

# Everything but what is built here; modules, 200 MB, only when the lock file has changed. What was built from other sources goes:
# make looks at times alone, and those of a commit may be older than the objects of another.
copy_checkout() {
  local copy=$root/root/stowage name sources
  mkdir -p "$copy"
  for name in "$copy"/* "$copy"/.[!.]*; do
    case ${name##*/} in node_modules | build | .tap) ;; *) rm -rf "$name" ;; esac
  done
  if [ -n "${COMMIT:-}" ]; then
    git -C "$checkout" archive "$COMMIT" | tar -C "$copy" -xf -
  else
    tar -C "$checkout" --exclude=./node_modules --exclude=./build --exclude=./dist --exclude=./.git --exclude=./.tap -cf - . |
      tar -C "$copy" -xf -
  fi
  if ! cmp -s "$checkout/package-lock.json" "$copy/node_modules/.of-lock"; then
    rm -rf "$copy/node_modules"
    tar -C "$checkout" --exclude=./node_modules/.cache -cf - ./node_modules | tar -C "$copy" -xf -
    cp "$checkout/package-lock.json" "$copy/node_modules/.of-lock"
  fi
  sources=$(cd "$copy" && find native binding.gyp -type f -exec sha256sum {} + | sort | sha256sum)
  if [ "$sources" != "$(cat "$copy/build/.of-sources" 2>/dev/null || true)" ]; then rm -rf "$copy/build"; fi
  mkdir -p "$copy/build"
  echo "$sources" >"$copy/build/.of-sources"
}

inside() {
  chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb CI=true LANG=C.UTF-8 \
    sh -c 'cd /root/stowage && exec "$@"' sh "$@" </dev/null
}

if [ -e "$root/.made" ]; then complete_root; else make_root; fi
copy_checkout
mount --bind "$root" "$root" # what unshares its mounts again inside expects / to be one
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"

tests=("$@")
if [ ${#tests[@]} -eq 0 ]; then
  for name in test/wim test/cli/wim test/layer; do if [ -d "$root/root/stowage/$name" ]; then tests+=("$name"); fi; done
fi
mapfile -t files < <(cd "$root/root/stowage" && find "${tests[@]}" -name '*.test.ts' | sort)
echo "newer-wimlib: $suite, $(inside wimlib-imagex --version | head -n 1), Node.js $(inside node --version), ${#files[@]} test files"

inside node scripts/build.mjs native
inside mkdir -p .tap
status=0
inside node node_modules/tap/dist/esm/run.mjs run --reporter=terse --output-file=.tap/newer-wimlib.tap "${files[@]}" || status=$?
inside node scripts/tally.mjs ".tap/newer-wimlib.tap=$status"
