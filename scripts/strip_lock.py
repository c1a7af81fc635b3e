"""Take what is not content out of package-lock.json: funding links, and any address of a registry.

Usage: strip_lock.py PACKAGE_LOCK. What stays is names, versions and integrity hashes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def strip(path: Path) -> None:
    """Rewrite the lock at `path` without `funding` and `resolved`."""
    lock = json.loads(path.read_text(encoding="utf-8"))
    for name, package in lock["packages"].items():
        package.pop("funding", None)
        package.pop("resolved", None)
        if name and "integrity" not in package:
            sys.exit(f"strip_lock: `{name}` has no integrity hash")
    path.write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    strip(Path(sys.argv[1]))
