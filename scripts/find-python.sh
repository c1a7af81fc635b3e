#!/usr/bin/env bash
# Print the Python that `.venv` is made from: the first that is 3.11 to 3.13, runs (a version
# manager's shim may exist and fail) and can make environments; else the first that is newer.
# With OLDEST=12 none before 3.12 will do, and what pyenv keeps is looked at as well.
set -uo pipefail

usable='import ensurepip, sys, venv; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, %s))'
usable=${usable/(3, 11)/(3, ${OLDEST:-11})}
kept=()
[ -z "${OLDEST:-}" ] || kept=("${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3)
for newest in 13 99; do
  for name in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3 "${kept[@]}"; do
    found=$(command -v "$name" 2>/dev/null) || continue
    # shellcheck disable=SC2059
    if "$found" -c "$(printf "$usable" "$newest")" >/dev/null 2>&1; then
      echo "$found"
      exit 0
    fi
  done
done

cat >&2 <<MESSAGE
make: no usable Python 3.${OLDEST:-11} or newer on PATH

hint: on Debian and Ubuntu, \`apt-get install python3 python3-venv\`; or point to one with \`make PYTHON=…\`
MESSAGE
exit 2
