"""Real engines, and our own on top of one of them, for tests that say what they do line by line."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ostiary.sandbox.containers.client import Client, Refused
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.found import Found
from ostiary.sandbox.containers.labels import INSTANCE
from ostiary.sandbox.containers.runner import ContainerRunner
from ostiary.sandbox.containers.settings import ContainerSettings
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import Command, RunRequest
from tests.needs import needs_docker, needs_gvisor, needs_podman
from tests.tools.engines import IMAGES, PROGRAMS

T = TypeVar("T")

KINDS = ("docker", "podman", "gvisor")
PATIENCE_S = 40
"""For one step on a real engine: it takes one second, and ten times that on a machine that is busy."""

BEGUN_MS = 4_000
"""The time of what never ends by itself: it has begun before that, also on a machine that is busy."""

NOT_FOUND = 404

LIST = 'for p in /proc/[0-9]*; do read -r line < $p/cmdline 2>/dev/null; echo "$line"; line=; done'


def address(kind: str) -> str:
    """Of the engine of this kind. Skips where there is none."""
    return {"docker": needs_docker, "podman": needs_podman, "gvisor": needs_gvisor}[kind]()


def cli(kind: str, *arguments: str) -> str:
    """What the engine's own client says."""
    command = [str(PROGRAMS / "usr/bin/docker"), "-H", address(kind), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


class World:
    """An engine of this session, and everything that is tested on top of it, on a loop of its own."""

    def __init__(self, kind: str, **settings: Any) -> None:
        self.kind = kind
        self.troubles: list[str] = []
        self.told: list[str] = []
        self.now = time.time_ns() // 1000
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        own = secrets.token_hex(6)  # the engine is shared: one of another worker may be at the same address
        self._names = (f"t{own}-{number}" for number in itertools.count())
        self._ids = (f"run{number}" for number in itertools.count())
        wanted: dict[str, Any] = {
            "host": address(kind),
            "runtime": "runsc" if kind == "gvisor" else "",
            "each": 64,
        }
        self.do(self._open(ContainerSettings(**(wanted | settings))))

    async def _open(self, settings: ContainerSettings) -> None:
        self.containers = Containers(settings, {}, clock=lambda: self.now, on_trouble=self.troubles.append)
        self.runner = ContainerRunner(self.containers)
        self.engine = Engine(
            self.runner, clock=lambda: self.now, mint=lambda: next(self._ids), on_trouble=self.troubles.append
        )
        await self.engine.open()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of a coroutine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def close(self) -> None:
        """End it, and look that nothing of it is left on the engine."""
        try:
            instance = self.containers._register.instance
            self.do(self.engine.close())
            left = self.do(self._mine(instance))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        assert not left, left
        assert not self.troubles, self.troubles

    async def _mine(self, instance: str) -> list[str]:
        """What is there of an instance once the engine has forgotten what it was told to remove.

        After a restart Docker 20.10 may list a container for good that it no longer has: dead, without
        a name, and unknown to every other question.
        """
        containers = Containers(self.containers.settings, {}, clock=lambda: self.now, on_trouble=print)
        wanted = {"label": f"{INSTANCE}={instance}"}
        try:
            while True:
                listed = await containers.client.call(lambda api: api.containers(all=True, filters=wanted))
                found = [one for one in listed if await _known(containers.client, one["Id"])]
                if all("emov" not in str(one.get("Status")) for one in found):
                    return [f"{one['Names']} {one.get('Status')}" for one in found]
        finally:
            await containers.close()

    # --- what tests do ----------------------------------------------------------------------------

    def name(self) -> str:
        """A name that no container has."""
        return next(self._names)

    def create(self, image: str = "python", owner: str = "ana", name: str = "") -> Found:
        """A container of `owner`'s."""
        return self.do(self.containers.create(owner, IMAGES[image], name or self.name(), self.told.append))

    def run(self, container: Found, *argv: str, wall_ms: int = 30_000, **more: Any) -> RunRecord:
        """A command in it."""
        return self.do(self.started(container, *argv, wall_ms=wall_ms, **more))

    def script(self, container: Found, code: str, *argv: str, **more: Any) -> RunRecord:
        """A script in it."""
        return self.do(self.started(container, *argv, code=code, script=True, **more))

    async def started(
        self,
        container: Found,
        *argv: str,
        code: str = "",
        stdin: bytes = b"",
        wall_ms: int = 30_000,
        on_start: Callable[[str], object] = lambda _: None,
        limits: Limits | None = None,
        **more: Any,
    ) -> RunRecord:
        """The same as a coroutine; `on_start` is told the id of the run."""
        command = Command(container=container.id, argv=argv, **more)
        request = RunRequest(
            code=code, owner="ana", stdin=stdin, command=command, limits=(limits or Limits()).lasting(wall_ms)
        )
        run_id = self.engine.start(request)
        on_start(run_id)
        record = await self.engine.ended("ana", run_id)
        assert record is not None
        return record

    async def output(self, run_id: str, wanted: str) -> None:
        """Wait until a run has written this."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = self.engine.status("ana", run_id)
                if found is None or wanted in found.stdout.shown:
                    return
                await asyncio.sleep(0.005)

    def processes(self, container: Found) -> str:
        """The arguments of everything that runs in it, but of couriers."""
        lines = self.run(container, "sh", "-c", LIST).stdout.whole.splitlines()
        return "\n".join(line for line in lines if "OSTIARY_RUN" not in line and "p in /proc" not in line)


async def _known(client: Client, container: str) -> bool:
    try:
        await client.call(lambda api: api.inspect_container(container))
    except Refused as refusal:
        if refusal.status != NOT_FOUND:
            raise
        return False
    return True


@contextmanager
def world(kind: str, **settings: Any) -> Iterator[World]:
    """A world that is closed afterwards."""
    made = World(kind, **settings)
    try:
        yield made
    finally:
        made.close()
