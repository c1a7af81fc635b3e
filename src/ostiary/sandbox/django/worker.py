"""What the engine is handed: a child of the project, or the next one when the project has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import GatewayFault
from ostiary.sandbox.cpython.protocol import Answer, BrokenError, Reader
from ostiary.sandbox.cpython.turn import Turn
from ostiary.sandbox.cpython.worker import CPythonWorker
from ostiary.sandbox.django import protocol
from ostiary.sandbox.django.veil import Secrets, Veil
from ostiary.sandbox.runner import Ended, Job, Tap

_LOOK_S: Final = 5.0
_NAMED: Final = 3
_NAME: Final = 80
_KEPT: Final = 1 << 16


class Between:
    """What a child wrote while no run had it, which the next one shows; bounded."""

    def __init__(self) -> None:
        self.out, self.err = bytearray(), bytearray()

    def stdout(self, data: bytes) -> None:
        """More of stdout."""
        self.out += data[: _KEPT - len(self.out)]

    def stderr(self, data: bytes) -> None:
        """More of stderr."""
        self.err += data[: _KEPT - len(self.err)]

    def pour(self, tap: Tap) -> None:
        """Hand it over."""
        if self.out:
            tap.stdout(bytes(self.out))
        if self.err:
            tap.stderr(bytes(self.err))
        self.out.clear()
        self.err.clear()


class DjangoChild(CPythonWorker):
    """One child. It ends code by itself when its time is up, and answers questions."""

    async def changed(self, tap: Tap) -> list[str] | None:
        """The files of the project that it has imported in another form. None if it does not answer."""
        turn = Turn(self._child.lines, Reader(0), tap)
        try:
            turn.begin(protocol.look_message())
            async with asyncio.timeout(_LOOK_S):
                told = await turn.over
            return None if told is None else protocol.changed(told[0])
        except (BrokenError, TimeoutError):
            return None
        finally:
            turn.end()

    def _message(self, job: Job) -> bytes:
        # No bound on files: a database that is a file may be of any size.
        bounds = {name: most for name, most in self._resource_limits().items() if name != "FSIZE"}
        return protocol.job_message(job, bounds)

    def _answer(self, text: bytes, body: bytes) -> Answer:
        return protocol.answer(text)

    def _returned(self, answer: Answer, before: tuple[int, float | None], job: Job) -> Ended:
        ended = super()._returned(answer, before, job)
        if isinstance(answer, protocol.Answer) and answer.expired:
            return msgspec.structs.replace(ended, how="expired", value=None)
        return ended


class DjangoWorker:
    """A `Worker` that `renews`: before a run it becomes a fresh child where the project has changed."""

    def __init__(
        self,
        child: DjangoChild,
        another: Callable[[], Awaitable[DjangoChild]],
        secrets: Callable[[], Secrets],
    ) -> None:
        self._child: DjangoChild | None = child
        self._another = another
        self._secrets = secrets
        self._between = Between()
        self._note = ""
        self._killed = False

    async def renew(self) -> None:
        """Look whether the project has changed, and start over if so. Raises OstiaryError if it cannot."""
        if self._child is not None:
            changed = await self._child.changed(self._between)
            if changed == []:
                return
            self._note = self._secrets().text(_why(changed))
            child, self._child = self._child, None
            await child.close()
        made = await self._another()
        if self._killed:
            await made.close()
            raise GatewayFault("the session was closed meanwhile")
        self._child = made

    async def run(self, job: Job, tap: Tap) -> Ended:
        """Run one job. Cancelling this kills the worker. Everything written comes before it returns."""
        child = self._child
        if child is None:
            raise GatewayFault("the session has no process any more")
        secrets = self._secrets()
        veil = Veil(secrets, tap)
        note, self._note = self._note, ""
        if note:
            veil.stderr(f"ostiary: {note}\n".encode())
        self._between.pour(veil)
        try:
            ended = await child.run(job, veil)
        finally:
            veil.end()
        return msgspec.structs.replace(
            ended,
            value=secrets.value(ended.value),
            fault=secrets.fault(ended.fault),
            notes=(*((note,) if note else ()), *ended.notes),
        )

    def kill(self) -> None:
        """SIGKILL for it and all that it started, from outside. Idempotent; does not wait."""
        self._killed = True
        if self._child is not None:
            self._child.kill()

    async def close(self) -> None:
        """Kill, wait until nothing of it is left, release everything."""
        self._killed = True
        if self._child is not None:
            await self._child.close()


def _why(changed: list[str] | None) -> str:
    if changed is None:
        return "the process of this session had ended: its names are gone, and nothing was run again"
    named = ", ".join(_printable(Path(one).name) for one in changed[:_NAMED])
    more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    return (
        f"{named}{more} changed: the project was loaded anew, the names of this session are gone, "
        "and nothing was run again"
    )


def _printable(name: str) -> str:
    """The name of a file by the word of a child, in whose notes it is to say nothing else."""
    return "".join(one if one.isprintable() else "?" for one in name[:_NAME])
