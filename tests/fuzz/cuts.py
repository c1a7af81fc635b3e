"""Where an input is cut into pieces: decided by its own bytes, so that a corpus entry says it all."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator

BYTEWISE = 600
"""Longest input that is also delivered one byte at a time."""


def chance(data: bytes) -> random.Random:
    """Choices that belong to `data`: the same bytes give the same ones, on every machine."""
    return random.Random(zlib.crc32(data))


def deliveries(data: bytes) -> Iterator[list[bytes]]:
    """Several ways in which `data` may arrive, none of them whole."""
    if len(data) <= BYTEWISE:
        yield [data[at : at + 1] for at in range(len(data))]
    choice = chance(data)
    for most in (2, 8):
        cuts = sorted(choice.randint(0, len(data)) for _ in range(choice.randint(1, most)))
        yield [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
