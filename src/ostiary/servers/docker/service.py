"""What the handlers of the containers' server work with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import msgspec

from ostiary.sandbox.containers.containers import Containers, Tell
from ostiary.sandbox.engine import Engine
from ostiary.servers.core.context import CallContext
from ostiary.servers.docker.work_folder import WorkFolder


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """`now` gives seconds since 1970. `strict_errors`: see `script_replies`."""

    engine: Engine
    containers: Containers
    folder: WorkFolder
    now: Callable[[], float]
    strict_errors: bool = False


@asynccontextmanager
async def telling(context: CallContext) -> AsyncGenerator[Tell]:
    """A `Tell` that becomes progress of the call. Of words that come faster than they go, the last go."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    said: list[str] = []
    news = asyncio.Event()

    def tell(words: str) -> None:
        said[:] = [words]
        news.set()

    async def pass_on() -> None:
        while True:
            await news.wait()
            news.clear()
            await context.progress(loop.time() - began, message=said[0])

    async with asyncio.TaskGroup() as group:
        teller = group.create_task(pass_on())
        try:
            yield tell
        finally:
            teller.cancel()
