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
from ostiary.servers.runs import beside


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

    async with beside(pass_on()):
        yield tell
