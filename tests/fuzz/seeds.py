"""Inputs that the fuzzer starts from, taken from what the tests hold already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
CORPUS = TESTS / "corpus"


def corpus(longest: int) -> Iterator[bytes]:
    """Messages of the corpus, refused and accepted ones, up to `longest` bytes."""
    for folder in ("refused", "accepted"):
        for path in sorted((CORPUS / folder).iterdir()):
            data = path.read_bytes()
            if len(data) <= longest:
                yield data


def policies(longest: int) -> Iterator[bytes]:
    """Policies of the tests and the examples, up to `longest` bytes."""
    for folder in (TESTS / "policy", TESTS.parent / "examples"):
        for path in sorted(folder.rglob("*")):
            if path.suffix in {".json", ".yaml", ".yml"} and path.stat().st_size <= longest:
                yield path.read_bytes()
