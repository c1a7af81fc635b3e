#!/usr/bin/env bash
# run.sh LISTEN [POLICY]: the sandboxed Python server on LISTEN. Where this machine lacks what its walls
# are made of, a published server in its place, and what one command brings the rest. SERVER=time asks for
# the published server straight away.
set -euo pipefail
cd "$(dirname "$0")/.."
listen=$1
policy=${2:-}
bin=$PWD/.venv/bin

published() {
  make -s .venvs/servers/stamp
  exec "$bin/ostiary" proxy -p "${policy:-examples/time.json}" --server time --listen "$listen" \
    -- .venvs/servers/bin/mcp-server-time
}

[ "${SERVER:-python}" = python ] || published
# Debian's bubblewrap can be fetched without being root; elsewhere somebody has to install it.
command -v bwrap >/dev/null || make -s .venvs/programs/stamp-bubblewrap 2>/dev/null || true
PATH=$PATH:$PWD/.venvs/programs/usr/bin
export PATH
if ! said=$("$bin/ostiary" doctor); then
  printf '%s\n\n' "$said" >&2
  echo "run: code cannot be walled off here yet (above: what is missing, and what brings it)." >&2
  echo "run: until then the gate stands in front of a published server that tells the time." >&2
  published
fi
exec "$bin/ostiary" run python --listen "$listen" ${policy:+-p "$policy"}
