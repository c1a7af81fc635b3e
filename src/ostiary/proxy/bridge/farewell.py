"""The end of a session, and how long it is waited for."""

from __future__ import annotations

import asyncio
import contextlib

from ostiary.proxy.exchange import Callback, Head, nothing


class Farewell:
    """The `Responder` of the DELETE at the end; whatever the answer is, it is enough."""

    def __init__(self) -> None:
        self.on_gone: Callback = nothing
        self.on_pause: Callback = nothing
        self.on_resume: Callback = nothing
        self.done = asyncio.Event()

    def start(self, head: Head) -> None:
        """Take note of nothing."""

    def write(self, data: bytes) -> None:
        """Take note of nothing."""

    def finish(self) -> None:
        self.done.set()

    def abort(self) -> None:
        self.done.set()


async def within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for `event`. Returns whether it came in time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
