"""Requests under way: how many there may be, and what happens when one is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ostiary.proxy.exchange import nothing
from ostiary.servers.core.call import answer
from ostiary.servers.core.channel import Channel
from ostiary.servers.core.context import Caller
from ostiary.servers.core.fault import BUSY, INTERNAL
from ostiary.servers.core.method import WORK
from ostiary.servers.core.seal import Seal
from ostiary.servers.core.server import Server
from ostiary.servers.core.session import Session
from ostiary.wire import answers
from ostiary.wire.message import Message


class Work:
    """All requests of one endpoint that are worked on."""

    def __init__(self, server: Server, most_working: int, most: int) -> None:
        """`most_working` bounds those behind which a handler works, `most` all."""
        self._server = server
        self._most_working = most_working
        self._most = most
        self._working = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def refusal(self, message: Message) -> bytes | None:
        """The answer to a request for which there is no room; None where there is."""
        over = len(self._tasks) >= self._most
        if not over and (message.method not in WORK or self._working < self._most_working):
            return None
        return answers.error(message.id, BUSY, "the server is busy with other calls; try again later")

    def begin(
        self,
        message: Message,
        caller: Caller,
        channel: Channel,
        within: Session | Seal,
        over: Callable[[], object] = nothing,
    ) -> asyncio.Task[None]:
        """Work on a request. Before its answer goes out, its place is free again and `over` is told.

        One that was cancelled has got no answer, and gets none.
        """
        works = message.method in WORK
        self._working += works
        settled = False

        def settle(body: bytes | None, status: int) -> None:
            nonlocal settled
            if not settled:
                settled = True
                self._working -= works
                over()
                channel.answer(body, status)

        async def work() -> None:
            try:
                body, status = await answer(self._server, message, caller, channel, within)
            except asyncio.CancelledError:
                if task.cancelling():
                    settle(None, 200)
                    raise
                # Something else that the handler waited for was cancelled: nobody withdrew this.
                body, status = answers.error(message.id, INTERNAL, "the call was broken off"), 200
            settle(body, status)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            settle(None, 200)  # cancelled before its first step

        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(ended)
        return task

    async def close(self) -> None:
        """Cancel everything, and wait until it is over."""
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
