"""What is not shown: values under names that look secret, and passwords in addresses.

A guard rail: code that has a secret can write it in another form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ostiary.sandbox.django.inside.reach import module

MASK = "********"
_HARMLESS = frozenset({"AUTH_PASSWORD_VALIDATORS", "PASSWORD_HASHERS"})
"""Names that hold such a word, and whose values are known to be none."""

_SHORTEST = 6
"""Characters of a secret that is looked for in output: a shorter one is part of too many words."""

_LONGEST, _MOST = 4096, 200
_IN_ADDRESS = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:)(?P<word>[^/\s@]+)(?=@)")


def pairs(value: Any) -> list[tuple[Any, Any]]:
    """What is in a mapping of whatever kind."""
    return list(value.items())


def several(value: Any) -> list[Any]:
    """What is in a list of whatever kind."""
    return list(value)


class Secrecy:
    """Judges by names. `words` are parts of them, in any case."""

    def __init__(self, words: Iterable[str]) -> None:
        self._name = re.compile("|".join(re.escape(word) for word in words), re.IGNORECASE)

    def hides(self, name: object) -> bool:
        """Whether what is called so is not shown."""
        return isinstance(name, str) and name not in _HARMLESS and bool(self._name.search(name))

    def shown(self, value: Any, name: object = "") -> Any:
        """The same value with what is secret masked, at any depth."""
        if self.hides(name) and not (value is None or isinstance(value, bool | int | float) or value == ""):
            return MASK
        if isinstance(value, str):
            return _IN_ADDRESS.sub(rf"\g<before>{MASK}", value)
        if isinstance(value, Mapping):
            return {key: self.shown(one, key) for key, one in pairs(value)}
        if isinstance(value, list | tuple):
            return [self.shown(one) for one in several(value)]
        return value

    def found(self, settings: Any, environment: Mapping[str, str]) -> list[str]:
        """The secrets themselves, which are looked for in all that leaves the process."""
        usual = module("django.conf.global_settings")
        found: set[str] = set()
        for name in dir(settings):
            if name.isupper() and (value := getattr(settings, name)) != getattr(usual, name, None):
                self._collect(value, name, found)
        for name, value in environment.items():
            self._collect(value, name, found)
        usable = (one for one in found if _SHORTEST <= len(one) <= _LONGEST)
        return sorted(usable, key=len, reverse=True)[:_MOST]

    def _collect(self, value: Any, name: object, found: set[str], *, hidden: bool = False) -> None:
        hidden = hidden or self.hides(name)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str):
            if hidden:
                found.add(value)
            found.update(one["word"] for one in _IN_ADDRESS.finditer(value))
        elif isinstance(value, Mapping):
            for key, one in pairs(value):
                self._collect(one, key, found, hidden=hidden)
        elif isinstance(value, list | tuple | set | frozenset):
            for one in several(value):
                self._collect(one, "", found, hidden=hidden)
