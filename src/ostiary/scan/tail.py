"""The end of what a program writes for people: all that a scan keeps of it."""

from __future__ import annotations

import os
from typing import Final

from ostiary.proxy.exchange import nothing
from ostiary.proxy.stdio.pipe import PipeReader
from ostiary.registry.change import printable

_KEPT: Final = 4_096
_LINES: Final = 3
_SHOWN: Final = 240


class Tail:
    """A pipe: `writing` is what the program is given as its stderr. Needs a running loop."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        os.set_blocking(reading, False)
        self._kept = bytearray()
        self._reader = PipeReader(reading, data=self._take, ended=nothing)

    def _take(self, data: bytes) -> None:
        self._kept += data
        del self._kept[:-_KEPT]

    def end(self) -> bytes:
        """The last bytes that were written. Nothing more is read."""
        os.close(self.writing)
        self._reader.drain()
        self._reader.close()
        return bytes(self._kept)


def last_lines(written: bytes) -> str:
    """The last lines that say something, on one line and printable; empty where there are none."""
    lines = [line.strip() for line in written.decode(errors="replace").splitlines()]
    said = [line for line in lines if any(char.isalnum() for char in line)][-_LINES:]
    return " / ".join(printable(line if len(line) <= _SHOWN else line[:_SHOWN] + "…") for line in said)
