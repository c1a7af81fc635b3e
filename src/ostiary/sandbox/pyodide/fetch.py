"""The package `pyodide` of the npm registry: one pinned version, checked against its digest."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import Final

from ostiary.errors import CallerFault, GatewayFault

VERSION: Final = "314.0.7"
INTEGRITY: Final = (
    "sha512-0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A=="
)
PYTHON: Final = "3.14.2"
"""The Python that this version is."""
TAGS: Final = ("pyemscripten_2026_0_wasm32",)
"""Platform tags of wheels that it can load, besides `any`."""

FILES: Final = frozenset(
    {
        "pyodide.mjs",
        "pyodide.asm.mjs",
        "pyodide.asm.wasm",
        "pyodide-lock.json",
        "python_stdlib.zip",
        "package.json",
    }
)
_MOST: Final = 64 << 20
_TIMEOUT: Final = 300


def fetched(environ: Mapping[str, str], *, registry: str = "", archive: Path | None = None) -> bytes:
    """The package's archive, whole and unchanged: from `archive`, from `registry`, or through npm.

    npm takes its own settings (registry, proxy, credentials). Without npm and without either
    argument nothing is fetched. Raises CallerFault when it cannot be had so, and GatewayFault when
    what came is not what is pinned.
    """
    if archive is not None:
        try:
            content = archive.read_bytes()
        except OSError as error:
            raise CallerFault(f"cannot read {archive}: {error.strerror}") from error
    elif registry:
        content = _by_https(registry)
    else:
        content = _by_npm(environ)
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise GatewayFault(
            f"the archive is not the package pyodide {VERSION} that this version was made for",
            hint="its SHA-512 differs from the pinned one: do not use it, and ask whoever runs the registry",
        )
    return content


def _by_https(registry: str) -> bytes:
    if not re.match(r"https://|http://(127\.0\.0\.1|localhost)[:/]", registry):
        raise CallerFault(f"expected an https:// address of an npm registry, found `{registry[:200]}`")
    url = f"{registry.rstrip('/')}/pyodide/-/pyodide-{VERSION}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as reply:  # noqa: S310 - checked above
            return reply.read(_MOST)
    except (OSError, ValueError) as error:
        raise CallerFault(f"cannot fetch {url}: {error}") from error


def _by_npm(environ: Mapping[str, str]) -> bytes:
    npm = which("npm", path=environ.get("PATH", ""))
    if npm is None:
        raise CallerFault(
            "found no npm on PATH to fetch the package `pyodide` with",
            hint="name your npm registry with --registry, or a downloaded archive with --archive",
        )
    with tempfile.TemporaryDirectory(prefix="ostiary-") as folder:
        command = [npm, "pack", f"pyodide@{VERSION}", "--ignore-scripts", "--pack-destination", folder]
        try:
            done = subprocess.run(  # noqa: S603 - npm as the operator has set it up
                command,
                cwd=folder,
                env=dict(environ),
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise CallerFault(f"npm did not fetch pyodide {VERSION}: {error}") from error
        path = Path(folder) / f"pyodide-{VERSION}.tgz"
        if done.returncode or not path.is_file():
            raise CallerFault(f"npm did not fetch pyodide {VERSION}: {done.stderr.strip()[-2000:]}")
        return path.read_bytes()


def unpack(archive: bytes, folder: Path) -> None:
    """Write the files that are needed into `folder`, readable for everybody.

    Only regular files of these names, whatever else the archive says. Raises GatewayFault when one
    is missing.
    """
    left = set(FILES)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as packed:
        for member in packed:
            name = member.name.removeprefix("package/")
            if name not in left or not member.isreg():
                continue
            content = packed.extractfile(member)
            if content is not None:
                target = folder / name
                target.write_bytes(content.read())
                target.chmod(0o444)
                left.discard(name)
    if left:
        raise GatewayFault(f"the package pyodide {VERSION} lacks {', '.join(sorted(left))}")
