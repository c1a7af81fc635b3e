#!/usr/bin/env bash
# containers.sh FOLDER: Docker, podman and gVisor from Debian packages in FOLDER, unpacked and not installed,
# and three images for them: `python` (busybox and Python), `busybox` (a shell, no Python) and `bare`
# (`sleep` and `echo`, no shell). tests/tools/engines.py starts them.
set -euo pipefail

folder=$1
here=$(dirname "$0")
engines=(docker.io containerd runc tini runsc podman conmon libgpgme11 libassuan0 libsubid4 libdevmapper1.02.1
  golang-github-containers-common golang-github-containers-image)
"$here/debian-programs.sh" "$folder" "${engines[@]}" busybox-static

# What Debian's Python needs, without what only its package scripts need.
needed=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
  --no-enhances python3-minimal libpython3-stdlib libstdc++6 | grep '^[a-z]' | sort -u \
  | grep -Ev '^(dpkg|tar|install-info|perl.*|libperl.*|mailcap|mime-support|media-types|python3-minimal|readline-common)$')
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
# shellcheck disable=SC2086 # one word for each package
"$here/debian-programs.sh" "$made/python" $needed
find "$made/python" \( -name __pycache__ -o -name gconv -o -name doc -o -name man -o -name locale -o -name test \
  -o -name idlelib -o -name lib2to3 -o -name 'config-3*' \) -prune -exec rm -rf {} +
ln -sf "$(basename "$(find "$made/python/usr/bin" -name "python3.*" | head -1)")" "$made/python/usr/bin/python3"

busybox=$(find "$folder/bin" "$folder/usr/bin" -name busybox | head -1)
for image in python busybox bare; do
  root=$made/$image
  mkdir -p "$root"/{bin,etc,proc,dev,sys,tmp,usr/bin}
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n' > "$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' > "$root/etc/group"
  cp "$busybox" "$root/bin/sleep"
  applets=(echo)
  [ "$image" = bare ] || applets+=(sh cat env id kill ls ps printf touch true false head tail wc mkdir rm seq yes dd setsid nohup)
  for applet in "${applets[@]}"; do ln "$root/bin/sleep" "$root/bin/$applet"; done
  mkdir -p "$folder/images"
  tar -C "$root" --numeric-owner --owner=0 --group=0 -cf "$folder/images/$image.tar" .
done
