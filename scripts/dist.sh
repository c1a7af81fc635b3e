#!/usr/bin/env bash
# Build the wheel, the sdist and the single-file program, and start each of them once.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
version=$("$bin/python" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
wheel=dist/ostiary-$version-py3-none-any.whl
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Same input, same bytes: archives carry the time of the last commit.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)
export SOURCE_DATE_EPOCH

rm -rf dist
"$bin/python" -m build --no-isolation --outdir dist . >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }

# (1) The wheel, in a fresh environment that holds the locked packages and nothing else.
scripts/make-environment.sh "$work/fresh" requirements/runtime.lock
"$work/fresh/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$wheel"
(cd "$work" && [ "$("$work/fresh/bin/ostiary" --version)" = "ostiary $version" ])
echo "dist: $wheel starts"

# (2) The single file: the locked wheels for this platform and Python, and ours, in one zip archive.
"$bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --require-hashes \
  --requirement requirements/runtime.lock --wheel-dir "$work/wheels"
cp "$wheel" "$work/wheels/"
"$bin/pex" --no-index --find-links "$work/wheels" --no-build --console-script ostiary \
  --venv prepend --output-file dist/ostiary.pyz "ostiary==$version" >&2
(cd "$work" && [ "$(PEX_ROOT="$work/pex" "$bin/python" "$OLDPWD/dist/ostiary.pyz" --version)" = "ostiary $version" ])
echo "dist: dist/ostiary.pyz starts"

# (3) As `uvx` runs it: resolved by bounds, not by lock.
(cd "$work" && [ "$("$bin/uvx" --quiet --isolated --python "$bin/python" --from "$OLDPWD/$wheel" ostiary --version)" = "ostiary $version" ])
echo "dist: uvx runs the wheel"

(cd dist && sha256sum -- *.pyz *.tar.gz *.whl | tee SHA256SUMS)
