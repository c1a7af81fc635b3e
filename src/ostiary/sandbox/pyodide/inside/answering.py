"""Answers jobs: what code of any engine sees, on top of what WebAssembly lacks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import random
import struct
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ostiary.sandbox.cpython.inside import files, show
from ostiary.sandbox.cpython.inside.evaluate import Interpreter, Outcome

_HEAD: Final = struct.Struct("!II")
_OURS: Final = ("ostiary", __name__.partition(".")[0])
_ENVIRONMENT: Final = {"HOME": "/tmp", "LANG": "C.UTF-8", "PATH": "/bin"}  # noqa: S108 - the worker's own
_TRIAL: Final[dict[str, Any]] = {
    "name": "<cell 1>",
    "context": '{"given": [1, "two", null]}',
    "files": [{"name": "given.txt", "size": 1}],
    "artifacts": 1,
    "artifact_bytes": 10,
}
_TRIALS: Final = (
    """
import math, re, sys
print(end="")
print(end="", file=sys.stderr)
[given, open("given.txt").read(), input()]
""",
    """
class Some:
    x: int = 1
def f(n):
    return 0 if n < 1 else f(n - 1)
{str(k): f(k) for k in range(9)}
""",
    """
import asyncio
await asyncio.sleep(0)
asyncio.current_task() is None
""",
    "1 / 0",
    "x = sum(i * i for i in range(300)); 10**30",
    "import nothing_of_this_name",
)
"""One after another they use what most code uses."""
_sleep: Callable[[float], object] = time.sleep


class _Nothing:
    """What a loop waits on where there are no descriptors to wait for: time alone."""

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for something that can never come")
        if timeout > 0:
            _sleep(timeout)
        return []

    def close(self) -> None: ...


class Loop(asyncio.BaseEventLoop):
    """An event loop that blocks, as it does outside a browser; JavaScript's own is not needed for it."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Nothing()

    def _process_events(self, event_list: Sequence[Any]) -> None: ...

    def _write_to_self(self) -> None: ...


class _Loops(asyncio.DefaultEventLoopPolicy):
    _loop_factory = Loop


class Answering:
    """Made once, before the memory snapshot is taken; `settle` is the first thing after it."""

    leaving: int | None = None

    def __init__(self) -> None:
        asyncio.events.__dict__["_event_loop_policy"] = _Loops()  # the function for it is on its way out
        asyncio.run = asyncio.runners.run  # Pyodide's own would need an engine that switches stacks

    def settle(self, nap: Callable[[float], object], work: str, packages: str) -> None:
        """Become one worker among many that started from the same memory.

        `nap` sleeps without work for that many seconds, `work` is the folder that code runs in,
        `packages` one with modules, or empty.
        """
        _reseed()
        _sleep_by(nap)
        asyncio.events.__dict__["_set_running_loop"](None)
        os.environ.clear()
        os.environ.update(_ENVIRONMENT)
        sys.path[:] = ["", *(path for path in sys.path if path), *([packages] if packages else [])]
        sys.stdout, sys.stderr = _text(1, "strict"), _text(2, "backslashreplace")
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
        self._begin(work)

    def check(self, work: str, rounds: int) -> str:
        """The self-test: what every worker must be able to do. The text is the same wherever it works.

        It is a rehearsal too: what runs here for the first time is compiled by the time a job comes.
        One round is the test, more of them make the first job quicker.
        """
        told = [self._answer(_TRIAL | {"code": code}, b"ab") for code in _TRIALS * rounds][: len(_TRIALS)]
        self._begin(work)
        return hashlib.sha256(b"".join(told)).hexdigest()

    def answer(self, text: str, body: Any) -> bytes:
        """Run the job that the header `text` and `body` say; the frame to send back.

        `body` is a typed array of JavaScript's. Afterwards `leaving` says whether to end.
        """
        return self._answer(json.loads(text), body.to_bytes())

    def _begin(self, work: str) -> None:
        """Names and files as nobody has touched them."""
        folder = Path(work)
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        for path in folder.iterdir():
            if path.is_file():
                path.unlink()
        for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
            del sys.modules[name]
        self._work, self._interpreter, self._outbox = work, Interpreter(), files.Outbox(work)

    def _answer(self, fields: dict[str, Any], body: bytes) -> bytes:
        view = memoryview(body)
        taken = files.place(self._work, fields["files"], view)
        files.standard_input(view[taken:])
        sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), encoding="utf-8")  # noqa: SIM115 - stays open for the code
        self._interpreter.names.update(json.loads(fields["context"]))
        outcome = self._interpreter.run(fields["code"], fields["name"])
        self.leaving = outcome.leaving
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        return self._told(outcome, fields)

    def _told(self, outcome: Outcome, fields: dict[str, Any]) -> bytes:
        room, most = fields["artifact_bytes"], fields["artifacts"]
        shown: list[tuple[str, bytes]] = []
        left_out = 0
        for name, content in show.images(outcome.value):
            if len(shown) < most and len(content) <= room:
                shown.append((name, content))
                room -= len(content)
            else:
                left_out += 1
        left = self._outbox.take(most - len(shown), room)
        shown += left.files
        value = None
        if outcome.value is not None:
            value = {"text": show.as_text(outcome.value), "json": show.as_json(outcome.value)}
        told = {
            "value": value,
            "fault": outcome.fault,
            "leaving": outcome.leaving is not None,
            "artifacts": [{"name": name, "size": len(content)} for name, content in shown],
            "left_out": left_out + left.out,
            "cpu_ms": 0.0,  # the host measures both
            "max_rss_kb": 0,
        }
        return _frame(told, b"".join(content for _, content in shown))


def _frame(fields: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(fields).encode()
    return _HEAD.pack(len(text), len(body)) + text + body


def _reseed() -> None:
    """Nothing random may be the same in two workers. Hashes of text are: the snapshot holds them."""
    random.seed()
    uuid.__dict__["_last_timestamp"] = None
    uuid.__dict__["_node"] = random.SystemRandom().getrandbits(48) | (1 << 40)
    tempfile.__dict__["_name_sequence"] = None


def _sleep_by(nap: Callable[[float], object]) -> None:
    def sleep(seconds: float, /) -> None:
        """Suspend execution for that many seconds."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        nap(seconds)

    time.sleep = sleep
    globals()["_sleep"] = sleep


def _text(descriptor: int, errors: str) -> io.TextIOWrapper:
    """Unbuffered, so that what was printed before a kill has left the process."""
    raw: Any = open(descriptor, "wb", buffering=0, closefd=False)  # noqa: SIM115 - lives as long as all this
    return io.TextIOWrapper(raw, encoding="utf-8", errors=errors, write_through=True)
