"""Where things stand in the text of a configuration, so that it can be changed without touching the rest."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ostiary.errors import CallerFault
from ostiary.wire.message import as_object

Style = Literal["json", "statement", "inline"]
"""How one key stands beside the next: as in JSON, as a line of TOML, or in a TOML inline table."""


class ConfigFault(CallerFault):
    """A place in a configuration that cannot be read; `offset` counts characters from 0."""

    def __init__(self, message: str, offset: int, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Member:
    """One key and its value: `start` and `end` around both, `name` where the last part of the key begins.

    `whole` is False where the value stands in several places, as `env.A = 1` and `env.B = 2` do.
    """

    key: str
    start: int
    name: int
    value: int
    end: int
    style: Style = "json"
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Slot:
    """One server in a configuration: `route` are the keys that lead to it, the last one its name.

    `value` is what the client reads there, which may hold secrets. `members` are where its keys stand.
    `inner` are those of the object under `command`, which older versions of Zed have.
    """

    route: tuple[str, ...]
    start: int
    value: object
    members: tuple[Member, ...] = ()
    inner: tuple[Member, ...] = ()

    @property
    def name(self) -> str:
        """What the person calls the server."""
        return self.route[-1]

    @property
    def fields(self) -> Mapping[str, object]:
        """The value, where it is an object; else nothing."""
        return as_object(self.value) or {}

    def __repr__(self) -> str:
        """Without the value, which may hold secrets."""
        return f"Slot(route={self.route!r}, start={self.start})"


@dataclass(frozen=True, slots=True)
class Lines:
    """Turns offsets into lines and columns; both count from 1, columns in characters."""

    starts: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Lines:
        """The lines of a text; a line ends at its line feed."""
        starts = [0]
        at = text.find("\n")
        while at != -1:
            starts.append(at + 1)
            at = text.find("\n", at + 1)
        return cls(tuple(starts))

    def spot(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1
