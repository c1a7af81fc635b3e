"""A run that has not ended yet: where it stands, and how it is made to end."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from ostiary.sandbox.record import RunRecord, Stream
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.runner import Worker
from ostiary.sandbox.streams import Capture
from ostiary.sandbox.verdict import Stopped


class Underway(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its owner sees it before it has ended.

    `pending`: it waits for packages, for its session or for a free place. `elapsed_s` counts from
    when it was asked for.
    """

    run_id: str
    state: Literal["pending", "running"]
    elapsed_s: float
    session: str = ""
    stdout: Stream = Stream()
    stderr: Stream = Stream()


class Run:
    """One run between its acceptance and its record. `asked` and `started`: see the engine's clocks."""

    def __init__(self, run_id: str, request: RunRequest, asked: float) -> None:
        self.run_id = run_id
        self.request = request
        self.asked = asked
        self.started = 0
        self.began = 0.0
        self.stopped: Stopped | None = None
        self.task: asyncio.Task[RunRecord] | None = None
        self.entered = False
        """Whether the task has begun: one that is cancelled before that would end without a word."""

        limits = request.limits
        self.capture = Capture(limits.kept_bytes, limits.stream_bytes, lambda: self.stop("flood"))
        if request.resumes is not None:
            self.capture.stdout(request.resumes.stdout)
            self.capture.stderr(request.resumes.stderr)
        self._place: Literal["waits", "has one", "left it"] = "waits"
        self._worker: Worker | None = None

    @property
    def pending(self) -> bool:
        """Whether it waits for its turn still."""
        return self._place == "waits"

    def placed(self) -> None:
        """Its turn has come: from now on it is ended through its worker."""
        self._place = "has one"

    def given(self, worker: Worker) -> None:
        """It has a worker, which ends with it if it was stopped before."""
        self._worker = worker
        if self.stopped is not None:
            worker.kill()

    def over(self) -> None:
        """It can no longer be stopped."""
        self._worker, self._place = None, "left it"

    def stop(self, why: Stopped) -> None:
        """Make it end, now. The first reason counts."""
        if self._place == "left it" or self.stopped is not None:
            return
        self.stopped = why
        if self._worker is not None:
            self._worker.kill()
        elif self.pending and self.entered and self.task is not None:
            self.task.cancel()

    def view(self, now: float) -> Underway:
        """Where it stands."""
        out, err = self.capture.streams()
        return Underway(
            run_id=self.run_id,
            state="pending" if self.pending else "running",
            elapsed_s=now - self.asked,
            session=self.request.session,
            stdout=out,
            stderr=err,
        )
