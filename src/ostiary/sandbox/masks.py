"""Takes secrets out of what is shown, in the forms in which they are usually written. Pure.

A guard rail: code that holds a value can write it in a form of its own. Code that holds a
placeholder has nothing to write.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

from ostiary.sandbox.sieve import sieves_of

MASK: Final = "********"
LEAST: Final = 8
"""Characters of a secret at least: shorter ones stand in every other line of an output."""

_LINE: Final = 16
_WAITS: Final = 512
"""Bytes that wait at least; more, by powers of two, for long secrets: their length is nobody's business."""

_SKIPPED: Final = (0, 2, 3)
"""Characters of Base64 that depend on what stands before a text, by its place in a group of three bytes."""


class Masks:
    """`texts` are taken out, and `shown` is put in their place.

    Each form is looked for by itself, the longest first: one pattern of all takes many times as long. Before
    that a sieve tells whether any can be there, in a time that is the same for every guess. With `known`,
    whoever writes what is looked through has the texts anyway, and no time has to be spent on that.
    """

    def __init__(self, texts: Iterable[str], shown: str = MASK, *, known: bool = False) -> None:
        self._known = known
        self._take({form: shown.encode() for text in texts for form in forms_of(text)})

    @classmethod
    def together(cls, several: Iterable[Masks]) -> Masks:
        """All of them as one. What two of them take out is shown as the first of them does."""
        found = cls(())
        shown: dict[bytes, bytes] = {}
        for one in several:
            shown = dict(one.forms) | shown
        found._take(shown)
        return found

    @property
    def forms(self) -> tuple[tuple[bytes, bytes], ...]:
        """What is taken out, and what is shown instead."""
        return self._forms

    def _take(self, shown: Mapping[bytes, bytes]) -> None:
        self._forms = tuple(sorted(shown.items(), key=lambda each: (-len(each[0]), each[0])))
        self._sieves = () if self._known else sieves_of([form for form, _ in self._forms])
        longest = len(self._forms[0][0]) if self._forms else 0
        self._waits = max(_WAITS, 1 << longest.bit_length()) if longest else 0

    def masked(self, data: bytes) -> bytes:
        """All of `data`, without the secrets."""
        if not self._may_hold(data):
            return data
        for form, shown in self._forms:
            data = data.replace(form, shown)
        return data

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """What of `data` can be shown, masked, and what has to wait for what follows it.

        As much waits whatever `data` is, unless a whole secret stands there. If only what a secret may
        begin with had to wait, whoever watches would learn of each guess whether it is a beginning.
        """
        cut = max(0, len(data) - self._waits)
        if not self._may_hold(data):
            return data[:cut], data[cut:]
        moved = cut > 0
        while moved:
            moved = False
            for form, _ in self._forms:
                around = len(form) - 1
                at = data.find(form, max(0, cut - around), cut + around)
                if at >= 0:
                    cut, moved = at, True
        return self.masked(data[:cut]), data[cut:]

    def _may_hold(self, data: bytes) -> bool:
        """Whether a form may stand in `data`: all steps are gone, whatever an earlier one has said."""
        found = self._known
        for one in self._sieves:
            found |= one.passes(data)
        return found


def forms_of(text: str) -> frozenset[bytes]:
    """`text` as programs write it: see the list in docs/how-to/secrets-for-code.md."""
    plain = (text, text.upper(), text.lower(), text[::-1])
    written = {form for each in plain for form in _written(each)}
    data = text.encode()
    found = {form.encode() for form in written} | set(_base64(data)) | set(_base64(data[::-1]))
    found |= {data.hex().encode(), data.hex().upper().encode()}
    for sign in (b"%", b"\\x"):
        every = sign + data.hex(":").encode().replace(b":", sign)
        found |= {every, every.upper() if sign == b"%" else every}
    for line in text.split("\n") if "\n" in text else ():
        if len(line) >= _LINE:
            found |= forms_of(line)
    return frozenset(form for form in found if len(form) >= LEAST - 2)


def _written(text: str) -> set[str]:
    quoted = quote(text, safe="")
    return {
        text,
        repr(text)[1:-1],
        ascii(text)[1:-1],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        json.dumps(text)[1:-1].replace("/", "\\/"),
        html.escape(text),
        quote(text),
        quoted,
        quote_plus(text),
        _lowered(quoted),
    }


def _lowered(quoted: str) -> str:
    """Percent-encoding with small digits."""
    first, *rest = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _base64(data: bytes) -> Iterable[bytes]:
    """What stands in Base64 for `data` wherever it lies among other bytes: its inner characters."""
    for before, skipped in enumerate(_SKIPPED):
        padded = bytes(before) + data
        whole = len(padded) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded)[skipped:whole]
