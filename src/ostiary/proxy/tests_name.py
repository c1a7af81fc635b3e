"""What the file with a policy's tests is called. Apart, since a gate without tests loads nothing else."""

from __future__ import annotations

from pathlib import Path

_SUFFIXES = (".tests.yaml", ".tests.yml", ".tests.json")


def tests_beside(policy: Path) -> list[Path]:
    """Every name that the tests of `policy` may have."""
    return [policy.with_name(policy.stem + suffix) for suffix in _SUFFIXES]
