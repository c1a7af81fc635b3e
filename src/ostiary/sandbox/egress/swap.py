"""Placeholders in a request: real values in their place, for the hosts that each secret is for. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from ostiary.sandbox.egress.head import Refused
from ostiary.sandbox.egress.messages import Fields
from ostiary.sandbox.egress.places import Allowed, Place, find_entry
from ostiary.sandbox.masks import Masks

_BASIC = "basic "


class Held(msgspec.Struct, frozen=True):
    """A secret of one run: what its code has in its place, and where the value may go."""

    name: str
    placeholder: str
    value: str
    hosts: tuple[Allowed, ...]

    def __repr__(self) -> str:
        """Without the value: what is printed by mistake shows none."""
        return f"Held({self.name!r})"


class Swap:
    """The secrets of one run, at the door."""

    def __init__(self, held: Sequence[Held]) -> None:
        self._held = tuple(held)
        self._traces = tuple((one.name, Masks((one.placeholder,), known=True)) for one in held)

    def fields(self, fields: Fields, place: Place) -> Fields:
        """Header fields with the values. Raises Refused where one is not for `place`."""
        return [(name, self._field(name, value, place)) for name, value in fields]

    def refuse(self, data: bytes, where: str) -> None:
        """Raise Refused where `data` holds a placeholder, in whatever form: `where` takes no secrets."""
        for name, traces in self._traces:
            if traces.masked(data) != data:
                raise Refused(403, f"{where} holds the secret `{name}`: only values of headers may")

    def _field(self, name: str, value: str, place: Place) -> str:
        self.refuse(name.encode(), "the name of a header")
        if name == "authorization" and value[: len(_BASIC)].lower() == _BASIC:
            told = _decoded(value[len(_BASIC) :])
            swapped = told and self._swapped(told, place)
            if swapped != told:
                return value[: len(_BASIC)] + base64.b64encode((swapped or "").encode("latin-1")).decode()
        swapped = self._swapped(value, place)
        if swapped == value:
            self.refuse(value.encode("latin-1"), f"`{name}`, in a form that is not looked into,")
        return swapped

    def _swapped(self, text: str, place: Place) -> str:
        for one in self._held:
            if one.placeholder not in text:
                continue
            if find_entry(one.hosts, place) is None:
                raise Refused(403, f"the secret `{one.name}` is not for {place}")
            text = text.replace(one.placeholder, one.value)
        return text


def _decoded(text: str) -> str | None:
    try:
        return base64.b64decode(text.strip(), validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return None
