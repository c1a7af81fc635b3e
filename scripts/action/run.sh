#!/usr/bin/env bash
# The step of action.yml: find or make a Python with this very checkout of ostiary, then scan with it.
# Inputs come in OSTIARY_ACTION_*, so that no text of a workflow is ever read as a command.
set -euo pipefail

checkout=$GITHUB_ACTION_PATH
python=${OSTIARY_ACTION_PYTHON:-}

# -I: the repository that is scanned stands in the current folder, and none of its modules is ours.
has_ostiary='import ostiary.cli.scan'
usable='import ensurepip, sys, venv; raise SystemExit(sys.version_info[:2] < (3, 11))'
if [ -n "$python" ]; then
  python=$(command -v -- "$python") || {
    echo "error: the input \`python\` names no program" >&2
    exit 2
  }
  if ! "$python" -I -c "$has_ostiary" >/dev/null 2>&1 && ! "$python" -I -c "$usable" >/dev/null 2>&1; then
    echo "error: the input \`python\` names none of 3.11 or newer that can make environments" >&2
    exit 2
  fi
fi

if [ -z "$python" ] || ! "$python" -I -c "$has_ostiary" >/dev/null 2>&1; then
  # Nothing is resolved: the lock names every package with its hash. Ostiary itself is used where it is.
  environment=${RUNNER_TEMP:?is the folder of the runner}/ostiary-action
  case $python in /*) ;; */*) python=$PWD/$python ;; esac
  # Not in the current folder: Python would take the repository's own `venv`, `ensurepip` and `pip`.
  (
    cd "$checkout"
    PYTHON=$python bash "$checkout/scripts/make-environment.sh" "$environment" "$checkout/requirements/runtime.lock"
  )
  python=$environment/bin/python
  "$python" -I -c 'import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "ostiary-action.pth").write_text(sys.argv[1] + "\n")' "$checkout/src"
fi
exec "$python" -I "$checkout/scripts/action/scan.py"
