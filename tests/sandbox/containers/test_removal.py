"""Removing containers, on an engine whose answers are written here: slow ones, and ones that never come."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from ostiary.sandbox.containers import client, containers, register
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.faults import EngineFault
from ostiary.sandbox.containers.killing import Killer
from tests.sandbox.containers.made_up import (
    FOREVER,
    GONE,
    NO_SUCH,
    SECONDS,
    Answer,
    MadeUpEngine,
    forward,
    play,
)

BEGUN = "removal of container x is already in progress"


@pytest.mark.parametrize(("exit_code", "killed"), [(0, False), (143, False), (137, True)])
def test_a_slow_engine_does_not_make_an_end_a_kill(
    monkeypatch: pytest.MonkeyPatch, exit_code: int, killed: bool
) -> None:
    monkeypatch.setattr(containers, "GRACE_S", 0)  # the engine takes longer than that for whatever it does

    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        engine.exit_code = exit_code

        assert await made.remove("ana", "box") is killed

        assert engine.heard[:2] == ["stop", "delete"]

    play(monkeypatch, scene)


def test_a_container_that_is_gone_when_it_is_asked_how_it_ended_was_killed_as_far_as_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(containers, "GRACE_S", 0)

    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        looks = iter(["box", "gone"])
        look = engine.inspect_container
        monkeypatch.setattr(engine, "inspect_container", lambda container: look(next(looks)))

        assert await made.remove("ana", "box") is True

    play(monkeypatch, scene)


@pytest.mark.parametrize("answer", [(200, {"StatusCode": 137}), NO_SUCH], ids=["told", "gone already"])
def test_a_removal_that_another_has_begun_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, troubles: list[str]) -> None:
        engine.delete, engine.over = (409, {"message": BEGUN}), answer

        await made.remove("ana", "box")

        assert engine.heard == ["stop", "delete", "over"]
        assert troubles == []

    play(monkeypatch, scene)


@pytest.mark.parametrize("delete", [FOREVER, (409, {"message": BEGUN})], ids=["ours", "anothers"])
def test_a_removal_that_never_ends_is_told_to_who_asked_and_tried_again_at_the_end(
    monkeypatch: pytest.MonkeyPatch, delete: Answer
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, troubles: list[str]) -> None:
        made._register.made("box")
        engine.delete, engine.over = delete, FOREVER

        removing = asyncio.ensure_future(made.remove("ana", "box"))
        await engine.hears("delete", 1)
        forward(register.REMOVAL_S)
        with pytest.raises(EngineFault, match=r"box was not removed within 30 s"):
            await removing
        engine.delete = GONE
        await made.close()

        assert engine.heard.count("delete") == 2
        assert troubles == []

    play(monkeypatch, scene)


def test_what_the_engine_refuses_to_remove_is_told_to_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        engine.delete = (500, {"message": "driver failed"})

        with pytest.raises(EngineFault, match="driver failed"):
            await made.remove("ana", "box")

    play(monkeypatch, scene)


def test_a_container_that_the_engine_never_stops_is_removed_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        engine.stop = FOREVER

        removing = asyncio.ensure_future(made.remove("ana", "box"))
        await engine.hears("stop", 1)
        forward(containers.GRACE_S + containers.STOP_S)

        assert await removing is True

        assert engine.heard == ["stop", "delete"]

    play(monkeypatch, scene)


def test_what_the_engine_refuses_to_stop_is_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        engine.stop = (500, {"message": "driver failed"})

        with pytest.raises(EngineFault, match="driver failed"):
            await made.remove("ana", "box")
        engine.stop = NO_SUCH

        assert await made.remove("ana", "box") is False
        assert engine.heard == ["stop", "stop", "delete"]

    play(monkeypatch, scene)


def test_stops_that_never_end_keep_nobody_else_from_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        engine.stop = FOREVER
        removals = [asyncio.ensure_future(made.remove("ana", f"box{number}")) for number in range(20)]
        await engine.hears("stop", 20)

        assert await made.images() == [{"Id": "an image"}]

        for one in removals:
            one.cancel()
        await asyncio.gather(*removals, return_exceptions=True)

    play(monkeypatch, scene)


@pytest.mark.parametrize("delete", [FOREVER, (409, {"message": BEGUN})], ids=["ours", "anothers"])
def test_removals_that_never_end_keep_nobody_else_from_the_engine(
    monkeypatch: pytest.MonkeyPatch, delete: Answer
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        engine.delete, engine.over = delete, FOREVER
        removals = [asyncio.ensure_future(made.remove("ana", f"box{number}")) for number in range(20)]
        await engine.hears("delete", 20)

        assert await made.images() == [{"Id": "an image"}]

        for one in removals:
            one.cancel()
        await asyncio.gather(*removals, return_exceptions=True)

    play(monkeypatch, scene)


@pytest.mark.parametrize("delete", [FOREVER, (409, {"message": BEGUN})], ids=["ours", "anothers"])
def test_closing_ends_in_its_time_however_many_containers_are_never_removed(
    monkeypatch: pytest.MonkeyPatch, delete: Answer
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, troubles: list[str]) -> None:
        monkeypatch.setattr(register, "ALL_S", 20)  # less than one removal may take
        engine.delete, engine.over = delete, FOREVER
        for number in range(100):
            made._register.made(f"box{number}")

        closing = asyncio.ensure_future(made.close())
        await engine.hears("delete", register._AT_ONCE)
        forward(register.ALL_S)
        await closing

        assert len(troubles) == 1
        assert troubles[0].startswith("100 containers were not removed within 20 s")
        assert engine.heard[-1] == "close"

    play(monkeypatch, scene)


async def _hang(
    patch: pytest.MonkeyPatch, engine: MadeUpEngine, made: Containers, answered: threading.Event
) -> asyncio.Future[Any]:
    """Questions that take every thread of the SDK until `answered`."""
    hanging: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def hang(*, all: bool) -> list[dict[str, Any]]:  # noqa: A002 - as the SDK has it
        loop.call_soon_threadsafe(hanging.put_nowait, None)
        answered.wait(SECONDS)
        return []

    patch.setattr(engine, "images", hang)
    asking = asyncio.gather(*(made.images() for _ in range(20)), return_exceptions=True)
    for _ in range(client._THREADS):
        await hanging.get()
    return asking


def test_closing_waits_for_no_question_that_the_engine_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    async def scene(engine: MadeUpEngine, made: Containers, troubles: list[str]) -> None:
        monkeypatch.setattr(client, "CLOSE_S", 0.1)
        asking = await _hang(monkeypatch, engine, made, answered)
        made._register.made("box")

        await made.close()

        assert engine.heard == ["delete"]
        assert troubles == []
        answered.set()
        await asking

    play(monkeypatch, scene)


def test_a_container_is_ended_although_all_questions_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    async def scene(engine: MadeUpEngine, made: Containers, _: list[str]) -> None:
        asking = await _hang(monkeypatch, engine, made, answered)

        said = await Killer(made.client).give_up("box", ours=True)

        assert said == "the container was ended, because the process in it could not be"
        assert engine.heard == ["kill"]
        answered.set()
        await asking

    play(monkeypatch, scene)


def test_closing_removes_those_that_can_be_beside_those_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, troubles: list[str]) -> None:
        for number in range(40):
            made._register.made(f"box{number}")

        await made.close()

        assert engine.heard.count("delete") == 40
        assert troubles == []

    play(monkeypatch, scene)
