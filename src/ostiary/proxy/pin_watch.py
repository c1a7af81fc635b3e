"""The pins of a running gate: read at start, swapped when the file changes; and what it last saw."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ostiary.errors import OstiaryError
from ostiary.policy.definition import Catalogue
from ostiary.proxy import pin_file
from ostiary.proxy.catalogue import Pins
from ostiary.proxy.desk import Desk
from ostiary.proxy.reload import Watch
from ostiary.store.state import StateDir

log = logging.getLogger("ostiary.pins")

Signature = tuple[int, int, int, int]


class LockedPins:
    """The pins of one server, as a gate with `--pins locked` starts with them.

    Without a file nothing is pinned, and so everything is denied. Raises CallerFault for a file
    that cannot be relied on.
    """

    def __init__(self, state: StateDir, server: str) -> None:
        self.path = pin_file.pin_path(state, server)
        self.seen = pin_file.seen_path(state, server)
        self.server = server
        self.content = pin_file.content_of(self.path)
        self.pins = Pins({}) if self.content is None else pin_file.decode(self.content, self.path).pins()

    @property
    def warning(self) -> str:
        """What the operator must be told at start, or nothing."""
        if self.content is not None:
            return ""
        return (
            f"nothing is pinned for `{self.server}`, so every tool is denied; "
            f"`ostiary pins write --server {self.server}` with the same command or URL pins what it offers"
        )

    def watch(self, loop: asyncio.AbstractEventLoop, desk: Desk, clock: Callable[[], int]) -> Watch:
        """Take over a changed file from now on, and keep what is seen where it differs."""
        desk.catalogues.on_seen = Seen(loop, self.seen, self.server, clock)
        reader = _Reader()
        return Watch(loop, self.path, self.content or b"", Repinning(desk, self.path), read=reader)


class _Reader:
    """Reads a file's content, and reads it again only when it may be another one."""

    def __init__(self) -> None:
        self._signature: Signature | None = None
        self._content: bytes | None = None

    def __call__(self, path: Path) -> bytes | None:
        try:
            found = path.stat()
            signature = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if signature != self._signature:
                self._content = pin_file.content_of(path)
                self._signature = signature
        except (OSError, OstiaryError):
            return None
        return self._content


class Repinning:
    """Puts changed pins in force, or keeps the old ones and says why."""

    def __init__(self, desk: Desk, path: Path) -> None:
        self._desk = desk
        self._path = path
        self._turn = 0

    def __call__(self, content: bytes) -> None:
        """Take new content of the file. Reading a long one takes long, so a thread does it."""
        self._turn += 1
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._read, content).add_done_callback(partial(self._swap, self._turn))

    def _read(self, content: bytes) -> Pins | OstiaryError:
        try:
            return pin_file.decode(content, self._path).pins()
        except OstiaryError as fault:
            return fault

    def _swap(self, turn: int, reading: asyncio.Future[Pins | OstiaryError]) -> None:
        if reading.cancelled() or turn != self._turn:
            return  # the file has changed again meanwhile
        read = reading.result()
        if isinstance(read, OstiaryError):
            log.warning("%s; the pins in force stay", read.message)
            self._desk.note(
                "pins-rejected", str(self._path), reasons=("the changed file cannot be relied on",)
            )
        else:
            self._desk.repin(read)
            self._desk.note("pins-activated", str(self._path))
            log.warning("pins %s are in force", self._path)


class Seen:
    """Keeps the list that was seen last in a file, while it differs from the pins.

    A thread writes, one list at a time; of those that come meanwhile only the last one counts.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, path: Path, server: str, clock: Callable[[], int]
    ) -> None:
        self._loop = loop
        self._path = path
        self._server = server
        self._clock = clock
        self._next: tuple[Catalogue | None] | None = None
        self._busy = False

    def __call__(self, seen: Catalogue, pins: Pins) -> None:
        """Take one list."""
        now = {name: tool.digest for name, tool in seen.definitions.items()}
        self._next = (None if now == pins.digests else seen,)
        if not self._busy:
            self._go_on()

    def _go_on(self) -> None:
        waiting, self._next = self._next, None
        self._busy = waiting is not None
        if waiting is not None:
            writing = self._loop.run_in_executor(None, self._keep, waiting[0])
            writing.add_done_callback(lambda _done: self._go_on())

    def _keep(self, seen: Catalogue | None) -> None:
        try:
            if seen is None:
                self._path.unlink(missing_ok=True)
            else:
                tools = pin_file.pin_file(self._server, self._clock(), seen.definitions.values())
                pin_file.write(self._path, tools)
        except (OSError, OstiaryError) as error:  # it only serves people: calls go on
            log.warning("cannot keep what was seen: %s", error)
