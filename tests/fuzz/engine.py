"""The process that fuzzes one target, in the environment that holds the fuzzer.

python -m tests.fuzz.engine TARGET [libFuzzer option or folder…]
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main() -> None:
    """Import the target with coverage recorded, then never return."""
    name, *options = sys.argv[1:]
    atheris: Any = importlib.import_module("atheris")  # only this process has it
    with atheris.instrument_imports(include=["ostiary", "tests.fuzz"]):
        target = importlib.import_module(f"tests.fuzz.targets.{name}")
    atheris.Setup([sys.argv[0], *options], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
