"""What the gate reads, and the official SDKs beside it, asked in processes of their own."""

from __future__ import annotations

import base64
import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from ostiary.policy.numbers import exact
from ostiary.wire.message import Message
from tests.needs import needs_environment, needs_node, needs_npm_modules

READERS = Path(__file__).parent / "readers"
Json = Any


def python_1() -> list[str]:
    """Command of the reader on the official Python SDK 1.x."""
    return [str(needs_environment("mcp1")), "-W", "ignore", str(READERS / "python_sdk.py")]


def python_2() -> list[str]:
    """Command of the reader on the official Python SDK 2.x."""
    return [sys.executable, "-W", "ignore", str(READERS / "python_sdk.py")]


def typescript() -> list[str]:
    """Command of the reader on the official TypeScript SDKs 1.x and 2.x."""
    return [str(needs_node()), str(READERS / "typescript_sdk.mjs"), str(needs_npm_modules())]


READER = {"python 1": python_1, "python 2": python_2, "typescript": typescript}


def ask(command: Sequence[str], what: str, inputs: Sequence[bytes], within: float) -> list[Json]:
    """What one reader makes of each of `inputs`; `what` is `body` or `stream`."""
    with tempfile.TemporaryFile() as asked:
        for one in inputs:
            asked.write(json.dumps({what: base64.b64encode(one).decode()}).encode() + b"\n")
        asked.seek(0)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OSTIARY_")}
        ended = subprocess.run(
            command, stdin=asked, stdout=subprocess.PIPE, timeout=within, check=True, env=kept
        )
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(answers) == len(inputs), "a reader lost count"
    return answers


class Lost(Exception):
    """A number that a reader takes for another one, where rules may look at it all the same."""


def same(ours: object, theirs: Json) -> bool:
    """Whether a reader's canonical value is what the gate read.

    A number that a reader rounds counts as the same only if the policy refuses to look at it (P3.4):
    then no rule can be deceived by the difference. Where it would look, `Lost` is raised.
    """
    kind, *rest = theirs
    if isinstance(ours, Mapping):
        return kind == "o" and _same_members(ours, rest[0])
    if isinstance(ours, list):
        return kind == "a" and len(ours) == len(rest[0]) and all(map(same, ours, rest[0]))
    if isinstance(ours, str):
        return kind == "s" and rest[0] == units(ours)
    if ours is None or isinstance(ours, bool):
        return kind == {None: "z", True: "t", False: "f"}[ours]
    assert isinstance(ours, int | float | Decimal)
    return _same_number(ours, kind, rest)


def _same_members(ours: Mapping[str, object], theirs: list[list[Json]]) -> bool:
    mine = sorted((units(key), value) for key, value in ours.items()) if ours else []
    return [key for key, _ in mine] == [key for key, _ in theirs] and all(
        same(value, other) for (_, value), (_, other) in zip(mine, theirs, strict=True)
    )


def _same_number(ours: float | Decimal, kind: str, rest: list[Json]) -> bool:
    written = Decimal(repr(ours)) if isinstance(ours, float) else Decimal(ours)
    if kind == "i":
        read = Decimal(rest[0])
    elif kind == "d":
        (double,) = struct.unpack(">d", bytes.fromhex(rest[0]))
        read = Decimal(repr(double))
    elif kind == "z":
        read = None  # a reader that has no word for it
    else:
        return False
    if read is not None and read == written:
        return True
    if exact(ours) is not None:
        raise Lost(f"{written} is read as {read}")
    return True


def units(text: str) -> str:
    """As `readers/canonical.py`."""
    return text.encode("utf-16-be", "surrogatepass").hex()


def difference(message: Message, theirs: Json) -> str | None:
    """What a reader takes differently from the gate, or None. A refusal is no difference."""
    if "refused" in theirs:
        return None
    expected: dict[str, object] = {"method": message.method, "id": message.id}
    if "name" in theirs:
        expected["name"] = message.params.get("name")
        expected["arguments"] = message.params.get("arguments", {})
    elif "params" in theirs:
        expected["params"] = message.params
    for what, ours in expected.items():
        try:
            if not same(ours, theirs[what]):
                return f"{what}: {theirs[what]}"
        except Lost as lost:
            return f"{what}: {lost}"
    return None
