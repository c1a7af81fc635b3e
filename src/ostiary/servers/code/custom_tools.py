"""The custom tools of all owners, as the gate in front was told of them.

A tool belongs to the owner (grant) who made it. Others see it only where it is public, and then it runs with
their own rights: through gates that decide about them.

A call runs the version that was listed when the gate took the call, and decided about it, whatever was
saved since: the gate's id of the call says when that was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from ostiary.errors import CallerFault, OstiaryError
from ostiary.servers.code.custom_check import PREFIX
from ostiary.store.custom_tools import Definition, Stamp, Version

KEPT: Final = 8
"""Versions of a tool of which it is known since when they were listed."""
_DIGITS: Final = {char: number for number, char in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_TIME: Final = slice(3, 13)


class Shelf(Protocol):
    """Where tools are kept: see `store.code_shelf.CodeShelf`, whose `save` and `remove` may wait."""

    def news(self) -> bool: ...

    def forget(self) -> None: ...

    def newest(self) -> list[Version]: ...

    def find(self, name: str, number: int) -> Version | None: ...

    def history(self, name: str) -> list[Stamp]: ...

    def claim(self, owner: str, name: str, *, new: bool) -> None: ...

    def save(
        self,
        owner: str,
        name: str,
        definition: Definition,
        script: str,
        *,
        at: int,
        new: bool,
        after: int = 0,
    ) -> Version: ...

    def remove(self, owner: str, name: str) -> bool: ...


class Since(NamedTuple):
    """A version, and since when it has been listed here, in microseconds since 1970."""

    at: int
    number: int


class Known(msgspec.Struct, frozen=True):
    """A tool: its newest version without the script, and those of late, the newest last."""

    newest: Version
    since: tuple[Since, ...]


Changed = Callable[[frozenset[str]], object]
"""Told whose lists are others now; the empty name stands for everybody."""


class CustomTools:
    """What there is, as of the last `refresh`. To be used on one event loop."""

    def __init__(self, shelf: Shelf, clock: Callable[[], int], on_changed: Changed) -> None:
        """`clock` is the one that the gate's ids are made of, in microseconds since 1970."""
        self.shelf = shelf
        self.clock = clock
        self._on_changed = on_changed
        self._known: dict[str, Known] = {}
        self._started = True

    def refresh(self) -> bool:
        """Take over what has changed, whoever changed it; whether something had. Raises OstiaryError."""
        if not self.shelf.news():
            return False
        try:
            newest = {one.name: one for one in self.shelf.newest()}
        except OstiaryError:
            self.shelf.forget()
            raise
        before, now = self._known, 0 if self._started else self.clock()
        self._started = False
        self._known = {name: _next(before.get(name), one, now) for name, one in newest.items()}
        concerned = _concerned(before, self._known)
        if concerned:
            self._on_changed(concerned)
        return True

    def visible(self, owner: str) -> list[Version]:
        """What `owner` may call, without scripts, by name."""
        return [one.newest for one in self._known.values() if _may(one.newest, owner)]

    def known(self, owner: str, name: str) -> Version | None:
        """The newest version of a tool that `owner` may call."""
        known = self._known.get(name)
        return known.newest if known is not None and _may(known.newest, owner) else None

    def called(self, owner: str, tool: str, call: str) -> tuple[str, int] | None:
        """Which tool and version a call of `tool` means.

        `custom_NAME` is what was listed when it came, `custom_NAME.v2` an older version.
        """
        if not tool.startswith(PREFIX):
            return None
        name, older, wanted = tool[len(PREFIX) :].partition(".v")
        known = self._known.get(name)
        if known is None or not _may(known.newest, owner):
            return None
        if not older:
            number = _as_of(known, call)
            return None if number is None else (name, number)
        number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 6 else 0  # noqa: PLR2004 - digits
        # In one spelling only: `.v02` would go round a rule about `.v2`.
        return (name, number) if 0 < number <= known.newest.number and wanted == str(number) else None

    def version(self, owner: str, name: str, number: int) -> Version:
        """One version, whole, of a tool that `owner` may call. Raises CallerFault where there is none such.

        Of a tool of somebody else each version says for itself whether it is public.
        """
        newest = self.known(owner, name)
        found = None if newest is None else self.shelf.find(name, number)
        if newest is None or found is None or not _may(found, owner):
            raise CallerFault(f"there is no version {number} of a custom tool `{name[:80]}`")
        return found


def readable(version: Version, newest: Version, owner: str) -> bool:
    """Whether `owner` may read the code of a version."""
    if version.owner == owner:
        return True
    return all(one.definition.public and one.definition.code_public for one in (version, newest))


def missed(names: Sequence[str], near: Sequence[str]) -> str:
    """Words for a tool that there is not."""
    return f"did you mean `{near[0]}`" if near else f"yours are {', '.join(names) or 'none'}"


def _may(version: Version, owner: str) -> bool:
    return version.owner == owner or version.definition.public


def _next(before: Known | None, newest: Version, now: int) -> Known:
    if before is not None and before.newest.digest == newest.digest and before.newest.number == newest.number:
        return before
    since = () if before is None or before.newest.owner != newest.owner else before.since
    return Known(newest, (*since[1 - KEPT :], Since(now, newest.number)))


def _concerned(before: dict[str, Known], after: dict[str, Known]) -> frozenset[str]:
    """Whose lists differ: the owner's for a private tool, everybody's for one that is or was public."""
    owners: set[str] = set()
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old is not new:
            both = [one.newest for one in (old, new) if one is not None]
            owners |= {"" if one.definition.public else one.owner for one in both}
    return frozenset(owners)


def _as_of(known: Known, call: str) -> int | None:
    """The version that was listed when a call came; the newest where its id tells no time.

    None where that was before all that is known: what the gate decided about is not there any more.
    """
    came = _milliseconds(call)
    if came is None:
        return known.newest.number
    return next((one.number for one in reversed(known.since) if one.at // 1_000 < came), None)


def _milliseconds(call: str) -> int | None:
    text = call[_TIME]
    if not call.startswith("ev_") or len(text) < 10 or not set(text) <= _DIGITS.keys():  # noqa: PLR2004 - its length
        return None
    number = 0
    for char in text:
        number = number * 32 + _DIGITS[char]
    return number
