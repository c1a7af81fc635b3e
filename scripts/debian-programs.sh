#!/usr/bin/env bash
# debian-programs.sh FOLDER PACKAGE…: programs from Debian packages, unpacked into FOLDER and not installed,
# so that nothing is started, nothing outside the folder changes and nobody has to be root. apt checks
# signatures and digests. Only for programs that need no library beyond those of every system.
set -euo pipefail

folder=$1
shift
for needed in apt-get dpkg-deb; do
  command -v "$needed" >/dev/null || { echo "no $needed here: $* cannot be fetched" >&2; exit 1; }
done

mkdir -p "$folder"
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
chmod 755 "$fetched"  # apt drops its privileges to download
fetch() { (cd "$fetched" && apt-get download -qq "$@" 2>/dev/null); }
if ! fetch "$@"; then
  # The machine has no list of packages, or an old one; only root can renew it.
  [ "$(id -u)" = 0 ] || { echo "apt-get cannot find $*; try: sudo apt-get update" >&2; exit 1; }
  apt-get update -qq
  fetch "$@"
fi
for package in "$fetched"/*.deb; do
  dpkg-deb --extract "$package" "$folder"
done
