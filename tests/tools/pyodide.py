"""Fetch the pinned archive of Pyodide for the tests, through the npm that the tests use.

    python tests/tools/pyodide.py FOLDER

What comes is checked against the digest that the product pins.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ostiary.sandbox.pyodide import fetch
from tests.tools import node as nodes

ARCHIVE = f"pyodide-{fetch.VERSION}.tgz"


def main(folder: Path) -> int:
    """Leave the archive in `folder`; 2 when there is no npm."""
    npm = nodes.npm()
    if npm is None:
        print(f"no usable npm: Node.js {nodes.NAMED} or newer is needed", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    command = [*npm, "pack", f"pyodide@{fetch.VERSION}", "--ignore-scripts", "--silent"]
    subprocess.run(command, cwd=folder, env=nodes.environment(), stdout=subprocess.DEVNULL, check=True)
    fetch.fetched({}, archive=folder / ARCHIVE)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
