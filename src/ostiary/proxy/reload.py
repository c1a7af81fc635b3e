"""Notices that a watched file has other content, however it was replaced (P8.2).

By content, not by file events: an atomic rename, a symlink swap and a write in place all end in
other bytes, and a watcher of events goes deaf on one or the other of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

PERIOD = 0.25
SETTLE = 0.05
MAX_BYTES = 1024 * 1024 + 1
"""One byte more than a policy may have, so that a larger file is noticed and then refused."""


class Watch:
    """Polls one file. `changed` gets content that was read twice alike, `SETTLE` seconds apart.

    `read` says what counts as its content, and returns None while there is none.
    """

    __slots__ = ("_changed", "_known", "_loop", "_path", "_pending", "_read", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: Path,
        known: bytes,
        changed: Callable[[bytes], None],
        *,
        read: Callable[[Path], bytes | None] | None = None,
    ) -> None:
        self._loop = loop
        self._path = path
        self._known = known
        self._pending: bytes | None = None
        self._changed = changed
        self._read = read or read_bounded
        self._timer = loop.call_later(PERIOD, self._look)

    def _look(self) -> None:
        content = self._read(self._path)
        delay = PERIOD
        if content is None or content == self._known:
            self._pending = None
        elif content == self._pending:
            self._known, self._pending = content, None
            self._changed(content)
        else:
            self._pending = content
            delay = SETTLE
        self._timer = self._loop.call_later(delay, self._look)

    def close(self) -> None:
        """Stop watching."""
        self._timer.cancel()


def read_bounded(path: Path) -> bytes | None:
    """The file's content, at most `MAX_BYTES` of it; None while it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return None
