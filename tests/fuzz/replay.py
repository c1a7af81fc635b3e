"""Give stored inputs to a target, without a fuzzer.

python -m tests.fuzz.replay TARGET FILE…
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz import registry


def main(arguments: list[str]) -> int:
    """Replay each file; the fault of the first bad one is shown as it is raised."""
    name, *files = arguments
    check = registry.target(name).check
    for file in files:
        check(Path(file).read_bytes())
        print(f"{name}: {file}: as it should be")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
