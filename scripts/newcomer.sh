#!/usr/bin/env bash
# Tries a commit as a newcomer would: in a fresh Debian root with only Node.js, npm, python3, make, g++ and git, a new
# clone, `npm run quickstart`, `npm test`. Needs root and debootstrap, a few minutes more than the tests take, and 3 GB
# below $TMPDIR, which are freed at the end.
#   scripts/newcomer.sh [SUITE]     SUITE brings its own Node.js of 20.19 or later; trixie does
set -euo pipefail

suite=${1:-trixie}
checkout=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${STOWAGE_NEWCOMER_ROOT:-}" ]; then
  root=$(mktemp -d)
  trap 'rm -rf --one-file-system "$root"' EXIT
  # A mount namespace of its own: what is mounted below the root goes when this process does.
  STOWAGE_NEWCOMER_ROOT=$root unshare --mount --propagation private "$0" "$suite"
  exit
fi

root=$STOWAGE_NEWCOMER_ROOT
chmod 755 "$root" # it is the / of other users too
mount --bind "$root" "$root" # tests make mount namespaces of their own, for which / must be a mount point
mirror=$(sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+).*/\2/p' \
  /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1 || true)
debootstrap --variant=minbase --include=python3,make,g++,git,ca-certificates "$suite" "$root" ${mirror:+"$mirror"} >"$root.log"
rm "$root.log"
mount --rbind /dev "$root/dev" # with the terminals in it
mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys" # which says what a removable medium is
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" # a mirror behind this site's own authority
git clone --quiet "$checkout" "$root/root/stowage"

inside() {
  chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb CI=true \
    NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt sh -c "cd /root/stowage && $1" </dev/null
}

inside 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm' >/dev/null 2>&1
for command in 'npm run quickstart' 'npm test' 'npm run quickstart'; do
  echo "== newcomer on $suite: $command"
  inside "$command"
done
echo "== newcomer on $suite: all of it worked"
