"""A child of the project: takes jobs from the socket and answers them, until the host closes it."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import socket
import sys
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from ostiary.sandbox.cpython.inside import frames, serving, show
from ostiary.sandbox.cpython.inside.attempt import attempt
from ostiary.sandbox.cpython.inside.evaluate import Interpreter, Outcome, fault_of
from ostiary.sandbox.django.inside import answers, guard
from ostiary.sandbox.django.inside.alarm import Alarm
from ostiary.sandbox.django.inside.reach import module, settings
from ostiary.sandbox.django.inside.secrecy import Secrecy
from ostiary.sandbox.django.inside.watch import Watch

_MOST = 2 << 20
"""Characters of an answer."""


class Loaded(NamedTuple):
    """A project that has been set up, and what is kept an eye on."""

    folder: str
    guard: guard.Guard
    watch: Watch
    secrecy: Secrecy


class Shell(Interpreter):
    """An interpreter whose runs are bounded by an alarm and guarded by a mode."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        self.names["settings"] = settings()
        self.alarm = Alarm()
        self._loaded = loaded
        self._wall_ms = 0

    def code(self, fields: dict[str, Any]) -> Outcome:
        """Run code."""
        self._wall_ms = fields["wall_ms"]
        self.names.update(json.loads(fields["context"]))
        return self.run(fields["code"], fields["name"])

    def ask(self, fields: dict[str, Any]) -> Outcome:
        """Answer a question. Its value is JSON text, or None."""
        ask = fields["ask"]

        def guarded() -> object:
            return self._loaded.guard.around(lambda: _json(answers.answer(ask, self._loaded.secrecy)))

        value, error = attempt(lambda: self.alarm.within(fields["wall_ms"], guarded))
        return Outcome(value) if error is None else Outcome(fault=fault_of(error, ""))

    def _evaluate(self, parts: list[CodeType]) -> object:
        def guarded() -> object:
            return self._loaded.guard.around(lambda: self._by_kind(parts))

        return self.alarm.within(self._wall_ms, guarded)

    def _by_kind(self, parts: list[CodeType]) -> object:
        """Code that awaits has a loop in a thread of its own; its work with the ORM is done in this one."""
        if any(part.co_flags & inspect.CO_COROUTINE for part in parts):
            return module("asgiref.sync").async_to_sync(self.alarm.over)(self._awaited(parts))
        value: object = None
        for part in parts:
            value = eval(part, self.names)  # noqa: S307 - to run it is what it was sent for
        return value


def serve(channel: socket.socket, _wanted: dict[str, Any], loaded: Loaded) -> NoReturn:
    """Say that all is ready, then answer job after job."""
    os.chdir(loaded.folder)
    serving.own_streams()
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    shell, me = Shell(loaded), os.getpid()
    frames.send(channel, {"ready": True})
    while (message := frames.receive(channel)) is not None:
        fields, _ = message
        if "changed" in fields:
            frames.send(channel, {"changed": loaded.watch.changed()})
            continue
        serving.bound(fields["bounds"])
        guard.tidy()
        importlib.invalidate_caches()
        before = serving.used()["cpu_ms"]
        outcome = shell.ask(fields) if fields["ask"] is not None else shell.code(fields)
        serving.flush()
        if os.getpid() != me:
            serving.leave_fork(outcome)
        loaded.watch.look()
        try:
            frames.send(channel, _answer(outcome, fields["ask"] is not None, shell.alarm.rang, before))
        except OSError:  # the code closed the socket; how this process ends is its answer
            os._exit(1)
    os._exit(0)


def _answer(outcome: Outcome, asked: bool, rang: bool, before: float) -> dict[str, Any]:  # noqa: FBT001 - fields of one answer
    used = serving.used()
    return {
        "value": _value(outcome.value, asked),
        "fault": _leaving(outcome.leaving) or outcome.fault,
        "expired": rang,
        "cpu_ms": round(used["cpu_ms"] - before, 3),
        "max_rss_kb": used["max_rss_kb"],
    }


def _value(value: object, asked: bool) -> dict[str, Any] | None:  # noqa: FBT001 - as above
    if asked:
        return None if value is None else {"text": "", "json": value}
    return None if value is None else {"text": show.as_text(value), "json": show.as_json(value)}


def _json(value: object) -> str:
    text = show.clean(json.dumps(value, ensure_ascii=False), sys.maxsize)
    if len(text) > _MOST:
        raise ValueError(f"an answer of {len(text)} characters is too long; ask for less at once")
    return text


def _leaving(status: int | None) -> dict[str, str] | None:
    """Code that calls for its end has what it wants: it is over. Its session is not."""
    if not status:
        return None
    return {
        "category": "exit",
        "type": "SystemExit",
        "message": f"the code left with status {status}; its names are kept",
        "traceback": "",
    }
