#!/usr/bin/env bash
# Write every lock file anew (`make lock`). Hashes, no host names: where packages come from is the
# business of the machine that installs them, what they are is ours.
set -euo pipefail
cd "$(dirname "$0")/.."
compile=(.venv/bin/uv pip compile --quiet --universal --generate-hashes
  --no-emit-index-url --no-emit-find-links --no-header "$@")
newer=("${compile[@]}" --python-version 3.12)
compile+=(--python-version 3.11)

"${compile[@]}" requirements/build.in --output-file requirements/build.lock
# Both need `packaging`, and one environment holds both.
"${compile[@]}" pyproject.toml --constraints requirements/build.lock --output-file requirements/runtime.lock
# What `make run` installs: the program, and what `ostiary demo` talks to.
"${compile[@]}" pyproject.toml --extra demo --constraints requirements/runtime.lock \
  --output-file requirements/demo.lock
# dev holds runtime and build at the same versions, so that one environment satisfies all three.
"${compile[@]}" pyproject.toml --extra demo --group dev --constraints requirements/demo.lock \
  --constraints requirements/build.lock --output-file requirements/dev.lock
"${compile[@]}" pyproject.toml requirements/fuzz.in --constraints requirements/runtime.lock \
  --output-file requirements/fuzz.lock
"${compile[@]}" requirements/mcp1.in --output-file requirements/mcp1.lock
"${compile[@]}" requirements/servers.in --output-file requirements/servers.lock
# The Python gateways that `make bench` loads beside ours: two generations of the official SDK.
"${compile[@]}" requirements/gateways1.in --output-file requirements/gateways1.lock
"${compile[@]}" requirements/gateways2.in --output-file requirements/gateways2.lock
# The line of Django that comes after the one in dev, and the server that `make bench` runs beside ours.
"${newer[@]}" requirements/django6.in --output-file requirements/django6.lock
"${compile[@]}" requirements/django-peer.in --output-file requirements/django-peer.lock

# What code that nobody trusts may import: part of the program, since users fetch exactly these.
"${compile[@]}" --no-build requirements/wheels.in --output-file src/ostiary/sandbox/packages/wheels.lock

# Hold back nothing silently: a lock that names a host is a lock for one network.
if grep -nE 'https?://|--index-url|--find-links' requirements/*.lock src/ostiary/sandbox/packages/wheels.lock; then
  echo "lock: a host name got into a lock file" >&2
  exit 1
fi

(cd tests/npm && ../../.venv/bin/python ../tools/node.py npm install --ignore-scripts --package-lock-only)
.venv/bin/python scripts/strip_lock.py tests/npm/package-lock.json
