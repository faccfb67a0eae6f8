#!/bin/sh
# Installs from Debian, by name, what config/packages.txt lists and is missing. Quiet when nothing is.
# Works as root and as a user with sudo. Downloads everything before it installs anything, and never
# removes a package: where one is in the way it says so and changes nothing.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)

missing=
for package in $(sed 's/#.*//' "$here/packages.txt") "$@"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "skillyard: these packages are missing and need root to install:$missing" >&2
    exit 2
  }
  as_root=sudo
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=120 \
    --no-install-recommends "$@" >>"$log" 2>&1
}

echo "skillyard: installing from Debian:$missing"
# $missing is a list of words, so it stays unquoted.
if ! { apt install --no-remove --download-only $missing ||
  { apt update && apt install --no-remove --download-only $missing; }; }; then
  tail -n 15 "$log" >&2
  echo "skillyard: nothing was installed. If Boost 1.74 (libboost-dev) is in the way, remove it:" \
    "Boost 1.81 conflicts with it." >&2
  exit 2
fi
apt install --no-remove $missing || {
  tail -n 15 "$log" >&2
  echo "skillyard: apt-get could not install:$missing" >&2
  exit 2
}
