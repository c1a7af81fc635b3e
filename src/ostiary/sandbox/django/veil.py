"""Masks the project's secrets in all that leaves a run. A guard rail: code can write them in another form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from ostiary.sandbox.record import Fault, Value
from ostiary.sandbox.runner import Tap

MASK = "********"


class Secrets:
    """Texts that are not shown, in the forms in which they are usually written."""

    def __init__(self, texts: Iterable[str]) -> None:
        forms = {form for text in texts for form in _forms(text)}
        ordered = sorted(forms, key=len, reverse=True)
        self.forms = tuple(one.encode() for one in ordered)
        self.longest = max(map(len, self.forms), default=0)
        self._bytes = re.compile(b"|".join(map(re.escape, self.forms)) or b"(?!)")

    def masked(self, data: bytes) -> bytes:
        """`data` with every secret in it masked."""
        return self._bytes.sub(MASK.encode(), data)

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
        for size in range(min(self.longest - 1, len(data)), 0, -1):
            end = data[-size:]
            if any(one.startswith(end) for one in self.forms):
                return size
        return 0


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
        whole, self._out = self._split(self._out + data)
        if whole:
            self._tap.stdout(whole)

    def stderr(self, data: bytes) -> None:
        """More of stderr."""
        whole, self._err = self._split(self._err + data)
        if whole:
            self._tap.stderr(whole)

    def _split(self, data: bytes) -> tuple[bytes, bytes]:
        data = self._secrets.masked(data)
        kept = self._secrets.begun(data)
        return (data[:-kept], data[-kept:]) if kept else (data, b"")

    def end(self) -> None:
        """Nothing more comes."""
        if self._out:
            self._tap.stdout(self._out)
        if self._err:
            self._tap.stderr(self._err)
        self._out = self._err = b""
