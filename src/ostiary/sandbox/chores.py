"""Tasks that somebody owns: each is kept until it is done, and none outlives its owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Chores:
    """Background tasks of one owner. A failure that nobody awaits is told to `on_trouble`."""

    def __init__(self, on_trouble: Callable[[str], object]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_trouble = on_trouble

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin `work`; it ends by itself or with the owner."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_trouble(f"{type(error).__name__}: {error}")

    async def finish(self) -> None:
        """Wait until all are done, also those that others start meanwhile."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Cancel all and wait for them."""
        for task in self._tasks:
            task.cancel()
        await self.finish()
