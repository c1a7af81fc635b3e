"""The targets and their kept inputs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, cast

FOLDER = Path(__file__).resolve().parent
CORPUS = FOLDER / "corpus"


class Target(Protocol):
    """A module of `targets`: raises AssertionError for an input that shows a fault."""

    check: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    WORDS: tuple[bytes, ...]


def names() -> list[str]:
    """Every target."""
    return sorted(path.stem for path in (FOLDER / "targets").glob("*.py"))


def target(name: str) -> Target:
    """The module of one target."""
    return cast("Target", importlib.import_module(f"tests.fuzz.targets.{name}"))


def kept(name: str) -> list[Path]:
    """The inputs that are kept for a target and replayed in every run of the tests."""
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())
