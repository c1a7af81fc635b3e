#!/usr/bin/env bash
# shells.sh FOLDER: zsh and fish from Debian packages in FOLDER, for the tests of completion, where the
# machine has none. They are unpacked, not installed, so each has to be told where its own functions are:
# zsh by FPATH (tests/needs.py), fish by standing where it looks for itself.
set -euo pipefail

folder=$1
"$(dirname "$0")/debian-programs.sh" "$folder" zsh-static zsh-common fish fish-common libpcre2-32-0
mkdir -p "$folder/usr/etc"
cp -r "$folder/etc/fish" "$folder/usr/etc/"
# By the name that a shell is recognised by; this build needs no modules from elsewhere.
cp "$folder/bin/zsh-static" "$folder/usr/bin/zsh"
