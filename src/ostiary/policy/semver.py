"""Version ranges over SemVer 2.0.0 (semver.org, sections 9-11).

A range is comparators joined by white space (all must hold), alternatives joined by `||`.
Comparators: `>=1.2.3 > <= < =`, a bare full version meaning `=`, `^1.2.3` (up to the next
change of the leftmost non-zero part) and `~1.2.3` (up to the next minor). `^`, `~`, `>=` and
`<` take shortened versions (`^1`, `>=1.2`); the others do not, since readers differ on them.
Precedence alone decides, prereleases included; the upper bound of `^` and `~` is the lowest
prerelease of the next version, so `^1.0.0` does not admit `2.0.0-rc.1`. Build metadata is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

MAX_VERSION: Final = 256
_PARTS: Final = 3
_NUMBER = r"(0|[1-9][0-9]{0,15})"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_PRERELEASE = rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
_BUILD = r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_FULL = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}{_PRERELEASE}{_BUILD}\Z")
_PARTIAL = re.compile(rf"{_NUMBER}(?:\.{_NUMBER})?\Z")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=|\^|~)?(\S+)\Z")

_Identifier = tuple[int, int, str]
Version = tuple[int, int, int, int, tuple[_Identifier, ...]]
"""(major, minor, patch, 0 for a prerelease or 1, identifiers); compares by precedence."""


class VersionError(ValueError):
    """Text is not a version, or a range cannot be read."""


def read_version(text: str) -> Version:
    """Read a full SemVer 2.0.0 version (no leading `v`).

    Raises:
        VersionError: when it is none, or longer than 256 characters.
    """
    match = _FULL.match(text) if len(text) <= MAX_VERSION else None
    if match is None:
        raise VersionError("is not a version")
    major, minor, patch, prerelease = match.groups()
    numbers = (int(major), int(minor), int(patch))
    if prerelease is None:
        return (*numbers, 1, ())
    return (*numbers, 0, tuple(_identifier(part) for part in prerelease.split(".")))


def compile_range(text: str) -> Callable[[Version], bool]:
    """Compile a range into a test.

    Raises:
        VersionError: when the range is empty or a comparator cannot be read.
    """
    if len(text) > 4 * MAX_VERSION:
        raise VersionError("range is too long")
    alternatives = [[_bounds(part) for part in clause.split()] for clause in text.split("||")]
    if not all(alternatives):
        raise VersionError("range is empty")

    def admits(version: Version) -> bool:
        return any(all(low_high(version) for low_high in clause) for clause in alternatives)

    return admits


def _identifier(text: str) -> _Identifier:
    """Numeric identifiers rank below the others and compare as numbers (section 11.4)."""
    if text.isdigit():
        return (0, int(text), "")
    return (1, 0, text)


def _bounds(comparator: str) -> Callable[[Version], bool]:
    match = _COMPARATOR.match(comparator)
    if match is None:
        raise VersionError("comparator is not readable")
    sign, text = match.group(1) or "=", match.group(2)
    low, given = _version_or_part(text)
    if given < _PARTS and sign in ("=", ">", "<="):
        raise VersionError(f"`{sign}` needs a full version")
    if sign in ("^", "~"):
        high = _lowest(_next_of(low, given, caret=sign == "^"))
        return lambda version: low <= version < high
    if sign == "<" and given < _PARTS:
        low = _lowest(low[:3])
    return _COMPARE[sign](low)


_COMPARE: Final[dict[str, Callable[[Version], Callable[[Version], bool]]]] = {
    ">=": lambda bound: lambda version: version >= bound,
    "<=": lambda bound: lambda version: version <= bound,
    ">": lambda bound: lambda version: version > bound,
    "<": lambda bound: lambda version: version < bound,
    "=": lambda bound: lambda version: version == bound,
}


def _version_or_part(text: str) -> tuple[Version, int]:
    """A full version, or a shortened one filled with zeros, and how many parts were given."""
    partial = _PARTIAL.match(text)
    if partial is None:
        return read_version(text), _PARTS
    major, minor = partial.groups()
    return (int(major), int(minor or 0), 0, 1, ()), 2 if minor is not None else 1


def _next_of(low: Version, given: int, *, caret: bool) -> tuple[int, int, int]:
    """The first version outside `^low` or `~low`."""
    major, minor, patch = low[:3]
    if given == 1 or (caret and major > 0):
        return major + 1, 0, 0
    if not caret or given == _PARTS - 1 or minor > 0:
        return major, minor + 1, 0
    return major, minor, patch + 1


def _lowest(numbers: tuple[int, int, int]) -> Version:
    """The lowest prerelease of a version: below `-0`, the lowest one that can be written."""
    return (*numbers, 0, ())
