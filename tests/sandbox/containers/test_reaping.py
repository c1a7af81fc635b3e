"""Which containers a pass over all of them removes, on an engine whose answers are written here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ostiary.sandbox.containers.client import Refused
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.labels import Tag
from tests.sandbox.containers.made_up import MadeUpEngine, play


def _unused(patch: pytest.MonkeyPatch, engine: MadeUpEngine, made: Containers, names: list[str]) -> None:
    """Containers of the image `of-NAME` that nobody has used for too long."""
    listed = [
        {
            "Id": name,
            "ImageID": f"of-{name}",
            "State": "running",
            "Labels": Tag(owner="ana", instance=made._register.instance, created=0, expires=1 << 40).labels(),
        }
        for name in names
    ]
    patch.setattr(engine, "containers", lambda **_: listed, raising=False)
    patch.setattr(made._register, "_clock", lambda: (made.settings.ttl_s + 1) * 1_000_000)


def _images(patch: pytest.MonkeyPatch, engine: MadeUpEngine, look: Callable[[str], object]) -> None:
    """What happens when an image is looked at; it has no labels."""

    def inspect_image(image: str) -> dict[str, Any]:
        look(image)
        return {"Config": {"Labels": {}}}

    patch.setattr(engine, "inspect_image", inspect_image, raising=False)


def test_a_container_that_cannot_be_looked_at_keeps_no_other_from_being_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, troubles: list[str]) -> None:
        _unused(monkeypatch, engine, made, ["first", "second"])

        def look(image: str) -> None:
            if image == "of-first":
                raise Refused(500, "layer does not exist")

        _images(monkeypatch, engine, look)

        await made.reap()

        assert engine.removed == ["second"]
        assert troubles == [
            "container first could not be looked at: the engine refuses: layer does not exist"
        ]

    play(monkeypatch, scene)


def test_a_container_that_is_used_again_while_others_are_looked_at_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(engine: MadeUpEngine, made: Containers, troubles: list[str]) -> None:
        _unused(monkeypatch, engine, made, ["first", "second"])
        _images(monkeypatch, engine, lambda image: made.use("first") if image == "of-second" else None)

        await made.reap()

        assert engine.removed == ["second"]
        assert troubles == []

    play(monkeypatch, scene)
