"""A container that could not be made: nothing of it stays, on an engine whose answers are written here."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ostiary.sandbox.containers import register
from ostiary.sandbox.containers.client import Refused
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.faults import EngineFault
from tests.sandbox.containers.made_up import FOREVER, GONE, NO_SUCH, Answer, MadeUpEngine, forward, play


def _starts_nothing(patch: pytest.MonkeyPatch, engine: MadeUpEngine) -> None:
    """It makes the container `box`, and does not start it."""

    def refuse(*_: Any, **__: Any) -> None:
        raise Refused(500, "driver failed")

    answers = {
        "containers": lambda **_: [],
        "version": lambda: {"Version": "20.10.24"},
        "info": lambda: {"DefaultRuntime": "runc"},
        "inspect_image": lambda _: {"Config": {}},
        "create_container_from_config": lambda *_: {"Id": "box"},
        "start": refuse,
        "remove_container": refuse,
    }
    for name, answer in answers.items():
        patch.setattr(engine, name, answer, raising=False)


def test_what_was_made_and_cannot_be_started_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, troubles: list[str]) -> None:
        _starts_nothing(monkeypatch, engine)
        engine.over = NO_SUCH

        with pytest.raises(EngineFault, match="driver failed"):
            await made.create("ana", "python", "one", lambda _: None)

        assert engine.removed == ["box"]
        await made.close()
        assert engine.removed == ["box"]
        assert troubles == []

    play(monkeypatch, scene)


@pytest.mark.parametrize("answer", [(500, {"message": "in use"}), FOREVER], ids=["refused", "unanswered"])
def test_what_was_made_and_cannot_be_removed_is_told_and_tried_again_at_the_end(
    monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, troubles: list[str]) -> None:
        _starts_nothing(monkeypatch, engine)
        engine.delete = answer

        making = asyncio.ensure_future(made.create("ana", "python", "one", lambda _: None))
        await engine.hears("delete", 1)
        forward(register.REMOVAL_S)
        with pytest.raises(EngineFault, match="driver failed"):
            await making
        assert len(troubles) == 1
        assert troubles[0].startswith("container box could not be removed: ")
        engine.removed.clear()
        engine.delete = GONE

        await made.close()

        assert engine.removed == ["box"]
        assert len(troubles) == 1

    play(monkeypatch, scene)
