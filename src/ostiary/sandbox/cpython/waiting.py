"""Waiting for a descriptor, on whichever event loop runs."""

from __future__ import annotations

import asyncio


async def readable(descriptor: int) -> None:
    """Return once `descriptor` can be read, or has come to its end."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not came.done():
            came.set_result(None)

    loop.add_reader(descriptor, tell)
    try:
        await came
    finally:
        loop.remove_reader(descriptor)
