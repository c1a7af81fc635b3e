"""A server over engines: what the operator hears of one that does not start, and the order of its end."""

from __future__ import annotations

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.engine import Engine
from ostiary.servers.core.server import Server
from ostiary.servers.core.upstream import BuiltinUpstream
from ostiary.wiring.engine import EngineUpstream
from tests.sandbox.fake_runner import FakeRunner
from tests.weaknesses.world import until, within


class Unready(FakeRunner):
    """A runner that cannot start, and notes when it was closed."""

    def __init__(self, ends: list[str]) -> None:
        super().__init__()
        self._ends = ends
        self.tried = False

    async def start(self, on_trouble: object) -> None:
        self.tried = True
        raise CallerFault("no container engine was found", hint="start Docker")

    async def close(self) -> None:
        self._ends.append("engine")
        await super().close()


def test_an_engine_that_cannot_start_says_what_to_do_and_what_it_stood_on_goes_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ends: list[str] = []

    async def release() -> None:
        ends.append("what it stood on")

    async def main() -> None:
        runner = Unready(ends)
        engine = Engine(runner, clock=lambda: 0, mint=lambda: "run_1")
        upstream = EngineUpstream(BuiltinUpstream(Server("s", "1")), (engine,), release)
        await until(lambda: runner.tried)
        await upstream.close()

    within(main)

    said = "ostiary: the engine `fake` could not warm up: no container engine was found (start Docker)\n"
    assert capsys.readouterr().err == said
    assert ends == ["engine", "what it stood on"]
