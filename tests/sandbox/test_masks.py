"""Texts that are taken out of outputs, in the forms in which programs write them."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from urllib.parse import quote

import pytest

from ostiary.sandbox.kept import Veil
from ostiary.sandbox.masks import MASK, Masks

SECRET = 's3cr/et "+é~' + "tail-99"
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "repr": repr,
    "ascii": ascii,
    "JSON": json.dumps,
    "JSON of other letters": lambda text: json.dumps(text, ensure_ascii=False),
    "percent": lambda text: quote(text, safe=""),
    "percent, small": lambda text: quote(text, safe="").replace("%2F", "%2f").replace("%22", "%22"),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "reversed": lambda text: text[::-1],
    "upper": str.upper,
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_masked_wherever_it_stands(name: str) -> None:
    form = FORMS[name](SECRET).strip("'\"")
    if name == "percent, small":
        form = form.replace("%C3%A9", "%c3%a9").replace("%2B", "%2b").replace("%7E", "%7e")
    masked = Masks((SECRET,)).masked(f"before {form} after".encode()).decode()
    assert masked == f"before {MASK} after"


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_masked_at_every_alignment(before: int, encode: Callable[[bytes], bytes]) -> None:
    shown = Masks((SECRET,)).masked(encode(b"x" * before + SECRET.encode() + b"more"))
    assert MASK.encode() in shown
    padded = shown.partition(MASK.encode())
    assert len(padded[0]) <= 4 * (before // 3 + 1)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_any_size_come_out_as_the_whole_does(seed: int) -> None:
    chance = random.Random(seed)
    text = f"a{SECRET}b{SECRET[:-1]}c{SECRET.encode().hex()}{SECRET[:4]}".encode()
    masks, out = Masks((SECRET, SECRET + "-and-longer")), bytearray()

    class Kept:
        def stdout(self, data: bytes) -> None:
            out.extend(data)

        def stderr(self, data: bytes) -> None:
            raise AssertionError

    veil, at = Veil(masks, Kept()), 0
    while at < len(text):
        size = chance.randint(1, 9)
        veil.stdout(text[at : at + size])
        assert SECRET.encode() not in out
        at += size
    veil.end()
    assert bytes(out) == masks.masked(text)


def held_back(masks: Masks, data: bytes) -> int:
    """How much of `data`, printed behind a lot of other text, is not shown at once."""
    return len(masks.split(b" " * 5_000 + data)[1])


def test_how_much_waits_tells_nothing_of_what_a_secret_begins_with() -> None:
    masks = Masks((SECRET,))
    nothing = held_back(masks, b"?" * 4)
    for guess in (SECRET[:1], SECRET[:2], SECRET[:9], SECRET[:-1], SECRET.encode().hex()[:30]):
        assert held_back(masks, guess.encode()) == nothing, guess
    assert nothing == held_back(Masks((SECRET + SECRET[:3],)), b"?" * 4)


def test_masks_put_together_leave_each_its_own_word() -> None:
    both = Masks.together((Masks((SECRET,), "first"), Masks(("another-one",)), Masks((SECRET,), "second")))
    data = f"{SECRET} another-one".encode()
    assert both.masked(data) == b"first " + MASK.encode()
    shown, rest = both.split(data)
    assert both.masked(shown + rest) == b"first " + MASK.encode()
