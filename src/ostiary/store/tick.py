"""The journal of an event loop: one transaction for all entries of one tick.

Alone on a store and with durability `process`, a transaction takes tens of microseconds and runs
in the loop. When it would have to wait (another process, syncing, a snapshot, a log to start
over) it runs on one writer thread, and what arrives meanwhile forms the next transaction. There
is at most one transaction at a time, so entries are answered in the order they came, whichever
way they went.

Rows that nobody waits for (the outcome of a call that holds nothing) go with the next transaction,
or with one of their own a moment later: they would cost as much as the row that was waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from ostiary.calls.journal import Committed, Entry, NotStored, Reply
from ostiary.store.connection import Durability
from ostiary.store.sqlite import BUSY_MS, LockBusyError

Done = Callable[[Reply], None]

MOMENT = 0.005
"""Seconds that a row for which nobody waits is kept at most before its transaction begins."""


class Store(Protocol):
    """What the journal needs of a store; see `SqliteStore`."""

    alone: bool
    durability: Durability

    @property
    def needs_thread(self) -> bool:
        """Whether the next transaction would hold up the loop."""
        ...

    @property
    def waiting(self) -> bool:
        """Whether something besides entries is to be written."""
        ...

    def commit(self, entries: list[Entry | None], *, wait_ms: int = BUSY_MS) -> list[Reply]:
        """Write entries in one transaction."""
        ...


class TickJournal:
    """Implements `calls.journal.Journal` on one loop. Close it before the store.

    `submit` and `close` are called on the loop's thread; so are all callbacks.
    """

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop
        self._entries: list[Entry | None] = []
        self._callbacks: list[Done] = []
        self._answers: deque[tuple[Done, Reply]] = deque()
        self._scheduled = False
        self._due = False  # something is waited for
        self._timer: asyncio.TimerHandle | None = None
        self._writing = False
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._thread: ThreadPoolExecutor | None = None

    def submit(self, entry: Entry | None, done: Done) -> None:
        """Queue `entry` for this tick's transaction; `done` gets the answer after it.

        After `close` everything is answered NotStored, still from a later turn of the loop.
        """
        if self._closed and entry is not None:
            self._loop.call_soon(done, NotStored("the gate is stopping"))
            return
        self._entries.append(entry)
        self._callbacks.append(done)
        if entry is None or not entry.late:
            self.wake()
        elif self._timer is None:
            self._idle.clear()
            self._timer = self._loop.call_later(MOMENT, self._moment_over)

    def wake(self) -> None:
        """Have a transaction in this tick for what the store itself has waiting."""
        self._due = True
        if not self._scheduled and not self._writing:
            self._scheduled = True
            self._idle.clear()
            self._loop.call_soon(self._flush)

    def hurry(self) -> None:
        """Write what the store itself has waiting now, or this tick where that could take a while."""
        if self._writing or self._needs_thread():
            self.wake()
            return
        try:
            self._store.commit([], wait_ms=0)
        except LockBusyError:
            self.wake()

    def _moment_over(self) -> None:
        self._timer = None
        if self._entries:
            self.wake()

    async def close(self) -> None:
        """Refuse new entries and wait until every queued one is answered."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._moment_over()
        self._go_on()
        await self._idle.wait()
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None

    def _flush(self) -> None:
        self._scheduled = self._due = False
        entries, callbacks = self._entries, self._callbacks
        self._entries, self._callbacks = [], []
        if not any(entries) and not self._store.waiting:  # places in the order, nothing to write
            self._answer(callbacks, [Committed() for _ in entries])
            return
        if self._needs_thread() or any(entry is not None and entry.step is not None for entry in entries):
            self._hand_over(entries, callbacks)
            return
        replies = _nothing_stored(entries)
        try:
            replies = self._store.commit(entries, wait_ms=0)
        except LockBusyError:
            self._hand_over(entries, callbacks)
            callbacks = []
        finally:
            self._answer(callbacks, replies)

    def _needs_thread(self) -> bool:
        store = self._store
        return not store.alone or store.durability == "power" or store.needs_thread

    def _hand_over(self, entries: list[Entry | None], callbacks: list[Done]) -> None:
        """Commit on the writer thread; until it is done, nothing else is."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ostiary-writer")
        self._writing = True
        future = self._thread.submit(self._store.commit, entries)
        future.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._written, entries, callbacks, done.result)
        )

    def _written(
        self, entries: list[Entry | None], callbacks: list[Done], result: Callable[[], list[Reply]]
    ) -> None:
        self._writing = False
        replies = _nothing_stored(entries)
        try:
            replies = result()
        finally:
            self._answer(callbacks, replies)

    def _answer(self, callbacks: list[Done], replies: list[Reply]) -> None:
        self._answers.extend(zip(callbacks, replies, strict=False))
        self._deliver()

    def _deliver(self) -> None:
        """Call back in order. A callback that raises loses its own call, not those after it."""
        try:
            while self._answers:
                done, reply = self._answers.popleft()
                done(reply)
        finally:
            if self._answers:
                self._loop.call_soon(self._deliver)
            self._go_on()

    def _go_on(self) -> None:
        if self._scheduled or self._writing:
            return
        if self._due:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        elif not (self._entries or self._answers):
            self._idle.set()


def _nothing_stored(entries: list[Entry | None]) -> list[Reply]:
    """The answers if the transaction raises: a defect, and so a denial."""
    return [NotStored("the transaction was not completed") for _ in entries]
