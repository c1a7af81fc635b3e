"""Code mode in a process that is killed (SIGKILL) at one step of a pause or of going on after it.

`python dying.py FOLDER STEP`: begins a run that waits for a person, has it approved, goes on. What it knows
it prints as lines of `name value`, and what it calls at its server is in FOLDER/told.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.sandbox.shelf import Shelf
from ostiary.servers.code import conversation
from ostiary.servers.code.workshop import Workshop
from ostiary.store.paused import PausedTable
from tests.servers.code.inside import SECONDS, code_mode
from tests.servers.code.test_paused import RULES, SCRIPT

DYING: Final = Path(__file__)


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def instead(owner: Any, name: str, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Die where this would be called."""
    before = getattr(owner, name)

    def dying(*given: Any, **named: Any) -> Any:
        return die() if when(*given, **named) else before(*given, **named)

    setattr(owner, name, dying)


def after(owner: Any, name: str) -> None:
    """Die once it has been done."""
    before = getattr(owner, name)

    def dying(*given: Any, **named: Any) -> Any:
        before(*given, **named)
        die()

    setattr(owner, name, dying)


def uncommitted() -> None:
    """Die when all is written, and before it counts."""
    before = PausedTable._writing

    @contextmanager
    def dying(self: PausedTable) -> Generator[Any]:
        with before(self) as connection:
            yield connection
            die()

    PausedTable._writing = dying  # type: ignore[method-assign]


def to_send(_: Any, request: Any, *__: Any) -> bool:
    return b'"tools/call"' in request.body and b'"key"' in request.body


PAUSING: Final[dict[str, Callable[[], None]]] = {
    "before it is kept": lambda: instead(PausedTable, "keep"),
    "while it is kept": uncommitted,
    "once it is kept": lambda: after(PausedTable, "keep"),
}
GOING_ON: Final[dict[str, Callable[[], None]]] = {
    "before it is taken": lambda: instead(PausedTable, "take"),
    "while it is taken": uncommitted,
    "once it is taken": lambda: after(PausedTable, "take"),
    "before its call is made": lambda: instead(Workshop, "_make"),
    "before its call is sent": lambda: instead(StdioUpstream, "send", to_send),
    "once its call is answered": lambda: instead(conversation, "value_of"),
    "when it is over": lambda: instead(Shelf, "put"),
}


async def main(folder: Path, step: str) -> None:
    async with asyncio.timeout(SECONDS), code_mode(folder, rules=RULES) as world:
        client = world.client()
        if step in PAUSING:
            PAUSING[step]()
        data = await client.run(SCRIPT)
        print("run", data["execution_id"], flush=True)
        await world.answer(data["waits_for"]["approval_id"], "approve")
        GOING_ON[step]()
        await client.ended(data["execution_id"])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
