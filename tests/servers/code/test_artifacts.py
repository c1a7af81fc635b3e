"""What tools answered beside text is kept within bounds."""

from __future__ import annotations

import base64

import pytest

from ostiary.servers.code import artifacts
from ostiary.servers.code.artifacts import Artifacts

TEN = base64.b64encode(b"0123456789").decode()


def test_what_is_oldest_makes_room_and_first_of_the_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MAX_BYTES", 30)
    kept = Artifacts()
    other = kept.keep("b", "image", "image/png", TEN)
    own = [kept.keep("a", "image", "image/png", TEN) for _ in range(5)]

    assert None not in own
    assert kept.uris("b") == [other]
    assert kept.uris("a") == own[-2:]


def test_an_owner_has_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MAX_NUMBER", 3)
    kept = Artifacts()
    own = [kept.keep("a", "audio", None, TEN) for _ in range(5)]

    assert kept.uris("a") == own[-3:]


@pytest.mark.parametrize("encoded", [None, 3, "", "a", "\udcff", "A" * 12_000_000])
def test_what_is_no_content_or_too_large_is_not_kept(encoded: object) -> None:
    assert Artifacts().keep("a", "image", "image/png", encoded) is None
