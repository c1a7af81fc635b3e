"""Waiting for a place, and not waiting any more."""

from __future__ import annotations

import asyncio

import pytest

from ostiary.sandbox.places import Places
from tests.sandbox.fake_runner import play


def test_who_is_cancelled_just_as_its_turn_comes_passes_the_place_on() -> None:
    async def scene() -> None:
        places = Places(1)
        await places.take("ana")
        first, second = (asyncio.ensure_future(places.take(owner)) for owner in ("bob", "cyd"))
        await asyncio.sleep(0)

        places.free("ana")  # bob has it, and has not gone on yet
        first.cancel()

        with pytest.raises(asyncio.CancelledError):
            await first
        await second

    play(scene)


def test_who_is_cancelled_while_it_waits_has_no_turn() -> None:
    async def scene() -> None:
        places = Places(1)
        await places.take("ana")
        first, second = (asyncio.ensure_future(places.take(owner)) for owner in ("bob", "cyd"))
        await asyncio.sleep(0)

        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        places.free("ana")
        await second

        places.free("cyd")
        await places.take("ana")  # none was lost

    play(scene)
