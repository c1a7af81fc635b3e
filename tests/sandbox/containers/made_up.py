"""An engine whose answers are written by the test: slow ones, and ones that never come."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ostiary.sandbox.containers import client
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.settings import ContainerSettings

SECONDS = 20
"""For a whole test that hangs."""
FOREVER = "forever"
"""The answer that never comes."""

Answer = tuple[int, dict[str, Any]] | str
GONE: Answer = (204, {})
NO_SUCH: Answer = (404, {"message": "No such container: x"})


class MadeUpEngine:
    """Its attributes are what it answers.

    `stop` and `delete` to these, `over` to the question when a removal is over; `made` when a command is
    made ready in a container, and `begun` when that is started; `kill` to the end of a whole container.
    What the SDK asks is answered here as well: by `Containers` in its threads.
    """

    api_version = "1.41"

    def __init__(self) -> None:
        self.stop: Answer = GONE
        self.delete: Answer = GONE
        self.over: Answer = (200, {"StatusCode": 0})
        self.made: Answer = (201, {"Id": "a-command"})
        self.begun: Answer = (500, {"message": "nothing runs here"})
        self.kill: Answer = GONE
        self.exit_code = 0
        self.heard: list[str] = []
        self.removed: list[str] = []
        """Which containers it was asked to remove."""
        self.asked = asyncio.Condition()

    # --- what the SDK asks ----------------------------------------------------------------------------

    def inspect_container(self, container: str) -> dict[str, Any]:
        if container == "gone":
            raise client.Refused(404, "No such container")
        return {
            "Id": container,
            "Name": f"/{container}",
            "Config": {"Image": "python", "Labels": {}},
            "State": {"Running": True, "Status": "running", "ExitCode": self.exit_code},
        }

    def images(self, *, all: bool) -> list[dict[str, Any]]:  # noqa: A002 - as the SDK has it
        return [{"Id": "an image"}]

    def close(self) -> None:
        self.heard.append("close")

    # --- what is asked outside of it ------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[:2]
        what = _asked(method, path)
        if what == "delete":
            self.removed.append(path.partition("?")[0].rpartition("/")[2])
        async with self.asked:
            self.heard.append(what)
            self.asked.notify_all()
        answer: Answer = getattr(self, what)
        if isinstance(answer, str):
            with contextlib.suppress(ConnectionError):
                await reader.read()  # until whoever asked has given up
        else:
            status, body = answer
            text = b"" if status == 204 else json.dumps(body).encode()
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
        writer.close()

    async def hears(self, what: str, times: int) -> None:
        """Wait until that has been asked so often."""
        async with self.asked:
            await self.asked.wait_for(lambda: self.heard.count(what) >= times)


def _asked(method: str, path: str) -> str:
    if method == "DELETE":
        return "delete"
    known = {"stop": "/stop?", "kill": "/kill", "made": "/exec", "begun": "/start"}
    ends = [what for what, part in known.items() if part in path.removeprefix("/v1.41/exec")]
    return ends[0] if ends else "over"


@asynccontextmanager
async def made_up(
    patch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[MadeUpEngine, Containers, list[str]]]:
    """The engine, what is in front of it, and what that says of trouble."""
    engine, troubles = MadeUpEngine(), list[str]()
    server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    patch.setattr(client, "connect", lambda address, timeout: engine)
    settings = ContainerSettings(host=f"tcp://127.0.0.1:{port}", unsafe_any_container=True)
    made = Containers(settings, {}, clock=lambda: 0, on_trouble=troubles.append)
    try:
        yield engine, made, troubles
    finally:
        engine.delete = GONE
        await made.close()
        server.close()


Scene = Callable[[MadeUpEngine, Containers, list[str]], Awaitable[None]]


class Loop(asyncio.SelectorEventLoop):
    """One whose clock can be put forward: a wait is over when the test says so, however slow the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0
        self.bound: asyncio.Timeout | None = None

    def time(self) -> float:
        return super().time() + self.ahead


def forward(seconds: float) -> None:
    """Put the clock forward, but not for the bound of the whole test."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    assert loop.bound is not None
    loop.bound.reschedule((loop.bound.when() or 0) + seconds)
    loop.ahead += seconds


def play(patch: pytest.MonkeyPatch, scene: Scene) -> None:
    loop = Loop()

    async def bounded() -> None:
        async with asyncio.timeout(SECONDS) as loop.bound, made_up(patch) as parts:
            await scene(*parts)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(bounded())
