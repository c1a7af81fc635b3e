from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import slices
from benchmarks.slices import LONGER, MANY, Lengths, RefutedError, Sample, UnmeasuredError
from benchmarks.world import Gateway, World

WORLD = World(Path(), 0)
FOUND = Sample(rate=1.0, cpu=1.0, p50=1.0, p99=1.0, foreign=0.0)


class Held:
    """A gateway that answers its 8 calls only after it was held up for some slices."""

    def __init__(self, slices_held: int) -> None:
        self.held = slices_held
        self.lengths: list[Lengths] = []

    def __call__(self, world: World, gateway: Gateway, load: slices.Load, lengths: Lengths) -> Sample:
        self.lengths.append(lengths)
        if len(self.lengths) <= self.held:
            raise UnmeasuredError(8)
        return FOUND


def gateway() -> Gateway:
    return Gateway("slow gateway", 0, 0, {}, {})


def test_slice_without_an_answer_is_made_again_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    held, one = Held(2), gateway()
    monkeypatch.setattr(slices, "_slice", held)

    assert slices._sample(WORLD, one, MANY, Lengths(1, 4)) is FOUND
    assert held.lengths == [Lengths(times, 4 * times) for times in LONGER]
    assert one.calls == 16  # each of them left records


def test_gateway_that_never_answers_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_slice", Held(len(LONGER)))

    with pytest.raises(RefutedError, match=r"slow gateway, 32 connections: no answer within 36 ms"):
        slices._sample(WORLD, gateway(), MANY, Lengths(1, 4))


def test_wrong_answer_is_told_with_its_gateway_and_never_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def wrong(*_: object) -> Sample:
        asked.append("once")
        raise RefutedError("7 of 8 answers were good")

    monkeypatch.setattr(slices, "_slice", wrong)

    with pytest.raises(RefutedError, match="slow gateway, 32 connections: 7 of 8"):
        slices._sample(WORLD, gateway(), MANY, Lengths(1, 4))
    assert asked == ["once"]
