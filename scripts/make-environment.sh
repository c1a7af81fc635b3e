#!/usr/bin/env bash
# make-environment.sh FOLDER LOCK…: a virtual environment that holds exactly what the locks name,
# checked by hash. Installing into an existing one is fine; what is there already is kept.
set -euo pipefail

folder=$1
shift
if [ ! -x "$folder/bin/python" ] || ! "$folder/bin/python" -c 'import pip' >/dev/null 2>&1; then
  python=$("$(dirname "$0")/find-python.sh")
  echo "environment $folder: $("$python" --version 2>&1)" >&2
  "$python" -m venv --clear "$folder"
fi

arguments=()
for lock in "$@"; do
  arguments+=(--requirement "$lock")
done
# A lock names everything, so nothing is resolved: a resolver looks at releases younger than the lock,
# and an extra of one of them is "not pinned".
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
  --require-hashes --no-deps "${arguments[@]}"
"$folder/bin/python" -m pip --disable-pip-version-check check >/dev/null || {
  "$folder/bin/python" -m pip --disable-pip-version-check check >&2
  exit 1
}
