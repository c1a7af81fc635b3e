"""Masks the project's secrets in all that leaves a run. A guard rail: code can write them in another form."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

import msgspec

from ostiary.sandbox.record import Fault, Value
from ostiary.sandbox.runner import Tap

MASK = "********"
_MASK: Final = MASK.encode()
_HEAD: Final = 4


class Secrets:
    """Texts that are not shown, in the forms in which they are usually written."""

    def __init__(self, texts: Iterable[str]) -> None:
        forms = {form for text in texts for form in _forms(text)}
        self.forms = tuple(sorted((one.encode() for one in forms), key=len, reverse=True))
        self._inner = tuple(
            one for one in self.forms if any(two != one and two.startswith(one) for two in self.forms)
        )

    def masked(self, data: bytes) -> bytes:
        """`data` with every secret in it masked, the longest first.

        Each is looked for by itself: one pattern of all takes many times as long.
        """
        for one in self.forms:
            data = data.replace(one, _MASK)
        return data

    def text(self, text: str) -> str:
        """The same for text."""
        return self.masked(text.encode()).decode() if self.forms else text

    def value(self, value: Value | None) -> Value | None:
        """The same for a value. JSON that would be none afterwards is left out."""
        if value is None or not self.forms:
            return value
        told = value.json and self.text(value.json)
        if told != value.json:
            try:
                msgspec.json.decode(told or "")
            except msgspec.MsgspecError:
                told = None
        return Value(self.text(value.text), told)

    def fault(self, fault: Fault | None) -> Fault | None:
        """The same for a fault."""
        if fault is None:
            return None
        return msgspec.structs.replace(
            fault, message=self.text(fault.message), traceback=self.text(fault.traceback)
        )

    def begun(self, data: bytes) -> int:
        """How many bytes at the end of `data` may be the beginning of a secret."""
        return max((_begun(one, data) for one in self.forms), default=0)

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """What of `data` can be shown, masked, and what has to wait for what follows it."""
        kept = self.begun(data) if self._inner else 0
        if kept and data[-kept:].startswith(self._inner):  # a secret, and maybe the beginning of a longer one
            return self.masked(data[:-kept]), data[-kept:]
        data = self.masked(data)
        kept = self.begun(data)
        return (data[:-kept], data[-kept:]) if kept else (data, b"")


def _begun(form: bytes, data: bytes) -> int:
    """How many bytes at the end of `data` are the beginning of `form`, and not all of it."""
    end = data[-(len(form) - 1) :] if len(form) > 1 else b""
    head = form[:_HEAD]
    at = end.find(head)
    while at >= 0:
        if form.startswith(end[at:]):
            return len(end) - at
        at = end.find(head, at + 1)
    return next((size for size in range(len(head) - 1, 0, -1) if end.endswith(head[:size])), 0)


def _forms(text: str) -> set[str]:
    return {
        text,
        repr(text)[1:-1],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        quote(text, safe=""),
    }


class Veil:
    """A `Tap` in front of another one: what may be half a secret waits for its other half."""

    def __init__(self, secrets: Secrets, tap: Tap) -> None:
        self._secrets = secrets
        self._tap = tap
        self._out = b""
        self._err = b""

    def stdout(self, data: bytes) -> None:
        """More of stdout."""
        whole, self._out = self._secrets.split(self._out + data)
        if whole:
            self._tap.stdout(whole)

    def stderr(self, data: bytes) -> None:
        """More of stderr."""
        whole, self._err = self._secrets.split(self._err + data)
        if whole:
            self._tap.stderr(whole)

    def end(self) -> None:
        """Nothing more comes."""
        if self._out:
            self._tap.stdout(self._secrets.masked(self._out))
        if self._err:
            self._tap.stderr(self._secrets.masked(self._err))
        self._out = self._err = b""
