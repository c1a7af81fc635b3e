"""Choose which of the inputs that fuzzing found are kept in the repository.

    python -m tests.fuzz.keep [TARGET…]

For each target a few small inputs that together reach what all known ones reach, by the lines of the
package that follow one another and about how often. Inputs with a name (a finding, with what was
wrong) stay whatever they reach; those that are named by a digest are chosen anew.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

from tests.fuzz import registry
from tests.fuzz.run import WORK

SOURCE = str(registry.FOLDER.parent.parent / "src")
MOST = 64
LARGEST = 1_024
OFTEN = 5

_DIGEST = re.compile(r"[0-9a-f]{16}")

Step = tuple[str, int, int]
Reached = set[tuple[Step, int]]


def reached(check: Callable[[bytes], None], data: bytes) -> Reached:
    """Which lines follow which in the package's own files, and the order of magnitude of how often."""
    steps: Counter[Step] = Counter()

    def enter(frame: FrameType, event: str, argument: object) -> object:
        file = frame.f_code.co_filename
        if not file.startswith(SOURCE):
            return None
        before = frame.f_lineno

        def follow(frame: FrameType, event: str, argument: object) -> object:
            nonlocal before
            if event == "line":
                steps[file, before, frame.f_lineno] += 1
                before = frame.f_lineno
            return follow

        return follow

    sys.settrace(cast("Any", enter))
    try:
        check(data)
    finally:
        sys.settrace(None)
    return {(step, min(count.bit_length(), OFTEN)) for step, count in steps.items()}


def choose(name: str) -> list[bytes]:
    """The inputs to keep for a target, besides those with a name."""
    check = registry.target(name).check
    named = [path.read_bytes() for path in registry.kept(name) if not _DIGEST.fullmatch(path.name)]
    known = {path.read_bytes() for path in (WORK / "corpus" / name).glob("*")}
    known |= {path.read_bytes() for path in registry.kept(name)} | set(registry.target(name).seeds())
    given = [*named, *registry.target(name).seeds()]
    have: Reached = set().union(*(reached(check, data) for data in given)) if given else set()
    chosen: list[bytes] = []
    for data in sorted(known - set(given), key=lambda data: (len(data), data)):
        if len(data) <= LARGEST and len(chosen) < MOST and (steps := reached(check, data)) - have:
            have |= steps
            chosen.append(data)
    return chosen


def main(arguments: list[str]) -> int:
    """Choose for each target and replace its unnamed inputs."""
    for name in arguments or registry.names():
        chosen = choose(name)
        folder = registry.CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for path in registry.kept(name):
            if _DIGEST.fullmatch(path.name):
                path.unlink()
        for data in chosen:
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        print(f"{name:<16} {len(registry.kept(name))} kept")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
